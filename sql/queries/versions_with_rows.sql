select version_id, night, algorithm, status, row_count as rows
from recommendation_version
where dropped_at is null and status <> 'staged'
order by version_id;
