insert into erased_session (day, session_hash)
select day, encode(sha256(convert_to(salt || day || ' ' || session_id, 'UTF8')), 'hex')
from unnest(cast(:days as date[]), cast(:sessions as text[])) as session (day, session_id)
cross join erasure_salt
on conflict do nothing;
