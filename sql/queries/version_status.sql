select status, dropped_at is null as has_rows, night
from recommendation_version
where version_id = :version_id;
