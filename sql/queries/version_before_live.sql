select former.version_id
from recommendation_version as former
join recommendation_version as live on live.version_id = (select version_id from live_version)
where former.status = 'retired'
    and former.dropped_at is null
    and (former.night, former.version_id) < (live.night, live.version_id)
order by former.night desc, former.version_id desc
limit 1;
