-- The versions among those shown whose rows are there.
select version_id
from recommendation_version
where dropped_at is null and status <> 'staged' and version_id in (select version_id from shown_list)
order by version_id;
