-- Who calls itself after the lock, as its holder and those who wait for it do.
select application_name as who, pid, to_char(xact_start at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS') as since
from pg_stat_activity
where datname = current_database()
    and pid <> pg_backend_pid()
    and starts_with(application_name, :what || ', ')
order by xact_start;
