select pid, application_name as who, granted, to_char(xact_start at time zone 'UTC', 'HH24:MI:SS') as since
from pg_locks
join pg_stat_activity using (pid)
where relation = 'clicks_lock'::regclass
    and database = (select oid from pg_database where datname = current_database())
    and pid <> pg_backend_pid()
order by granted desc, xact_start;
