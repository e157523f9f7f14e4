-- The version of a number, or the live one where none is given.
select version_id, night, dropped_at is null and status <> 'staged' as has_rows
from recommendation_version
where version_id = coalesce(cast(:version_id as bigint), (select version_id from live_version));
