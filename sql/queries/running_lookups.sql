-- The transactions that run a statement on the tables of versions now. Whose state may not be seen counts as running.
select distinct locks.virtualtransaction
from pg_locks as locks
join pg_stat_activity as session using (pid)
where locks.database = (select oid from pg_database where datname = current_database())
    and locks.relation in (
        'recommendation'::regclass, 'recommended_product'::regclass, 'recommendation_reason'::regclass
    )
    and pid <> pg_backend_pid()
    and coalesce(session.state, 'active') not like 'idle in transaction%';
