-- The version of a number, or what readers of a channel see where none is given.
select version_id, night, dropped_at is null and status <> 'staged' as has_rows
from recommendation_version
where version_id = coalesce(cast(:version_id as bigint), version_of_channel(:channel));
