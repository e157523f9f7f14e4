-- Versions that were given up and still have tables, oldest first, without those that a transaction which still runs may
-- see live: it began before the version was given up, and its snapshot is older than a move of the pointer away from it
-- (xmin: the transaction that moved it). The first alone would keep tables for every long statement; the second alone for
-- every lookup while a transaction of any database of the server writes, which holds the age of all snapshots.
select version_id
from recommendation_version
where dropped_at is not null
    and exists (
        select
        from pg_class
        where relnamespace = current_schema()::regnamespace
            and relname in (
                'recommendation_' || version_id, 'recommended_product_' || version_id,
                'recommendation_reason_' || version_id
            )
    )
    and not exists (
        select
        from live_version_change as move
        join pg_stat_activity as reader on age(reader.backend_xmin) >= age(move.xmin)
        where move.previous_version_id = recommendation_version.version_id
            and coalesce(reader.xact_start < dropped_at, true)  -- null: of a user whose sessions we may not watch
            and reader.datname = current_database()
            and reader.usename is not null  -- autovacuum has none
            and reader.pid <> pg_backend_pid()
    )
order by version_id;
