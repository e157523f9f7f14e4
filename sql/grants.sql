-- Roles of the whole server, made where the migrating user may: analyst reads, publisher runs the steps. Members are
-- granted by whoever runs the server (grant analyst to alice). Who hashes of erased users could be tried against is hidden.
do $$
declare
    wanted text;
    ours regclass;
    read_by_all constant text[] := array[
        'recommendation', 'recommended_product', 'recommendation_reason', 'recommendation_version', 'live_version', 'live_version_change',
        'gate_verdict', 'metric', 'live_metric', 'ingest_ledger', 'ingest_rule_count', 'catalogue_load', 'daily_aggregate', 'night_build',
        'night_build_day', 'blocked_product', 'recommendation_schema_version', 'current_recommendations',
        'ingest_health', 'ingest_rules', 'metrics_by_night', 'metrics_while_live', 'night_freshness', 'pair_history', 'changes_since_last_night',
        'gate_history', 'live_history', 'staleness'
    ];
    of_publishers constant text[] := read_by_all || array['erasure', 'erasure_day', 'erasure_salt', 'erased_session', 'clicks_lock'];
begin
    foreach wanted in array array['analyst', 'publisher'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception
                when duplicate_object or unique_violation then null;  -- somebody else made it just now
                when insufficient_privilege then
                    raise notice 'role % must be made by a user with CREATEROLE', wanted;
            end;
        end if;
    end loop;
    revoke all on function move_live_version(bigint, text, text, text) from public;
    if exists (select from pg_roles where rolname = 'analyst') then
        execute format('grant usage on schema %I to analyst', current_schema());
        for ours in
            select oid from pg_class
            where relnamespace = current_schema()::regnamespace
                and relname = any(read_by_all)
        loop
            execute format('grant select on %s to analyst', ours);
        end loop;
    end if;
    if exists (select from pg_roles where rolname = 'publisher') then
        execute format('grant usage, create on schema %I to publisher', current_schema());
        for ours in
            select oid from pg_class
            where relnamespace = current_schema()::regnamespace
                and relname = any(of_publishers)
        loop
            execute format('grant select, insert, update, delete on %s to publisher', ours);
        end loop;
        grant execute on function move_live_version(bigint, text, text, text) to publisher;
        if pg_has_role(current_user, 'publisher', 'member') then  -- only an owner attaches partitions
            for ours in
                select oid from pg_class
                where relnamespace = current_schema()::regnamespace
                    and relkind in ('r', 'p')
                    and relname ~ '^(recommendation|recommended_product|recommendation_reason)(_[0-9]+)?$'
            loop
                execute format('alter table %s owner to publisher', ours);
            end loop;
        end if;
    end if;
end;
$$;
