-- Versions that can be looked at: judged, and their rows are kept. The newest first.
select version_id, night, status, algorithm
from recommendation_version
where status <> 'staged' and dropped_at is null
order by night desc, version_id desc;
