select version_id
from recommendation_version
where night = :night and status = 'retired' and dropped_at is null
order by version_id desc
limit 1;
