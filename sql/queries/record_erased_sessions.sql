insert into erased_session (day, session_hash)
select day, session_hash
from unnest(cast(:days as date[]), cast(:hashes as text[])) as session (day, session_hash)
on conflict do nothing;
