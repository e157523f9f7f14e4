-- Whoever makes a table owns it: members of publisher make partitions as publisher, so that each may drop another's.
select set_config('role', publisher.rolname, false)
from pg_roles as publisher, pg_roles as mine
where publisher.rolname = 'publisher'
    and mine.rolname = session_user
    and not mine.rolsuper
    and pg_has_role(mine.oid, publisher.oid, 'member');
