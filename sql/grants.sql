-- Roles of the whole server, made where the migrating user may: analyst reads, publisher runs the steps and owns the
-- tables whose partitions it makes. Members are granted by whoever runs the server (grant analyst to alice).
do $$
declare
    wanted text;
    ours record;
begin
    if not pg_has_role((select relowner from pg_class where oid = 'recommendation_version'::regclass), 'usage') then
        return;  -- a member of publisher, who finds everything migrated
    end if;
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
    revoke all on function move_channel(text, bigint, numeric, text, text) from public;
    if exists (select from pg_roles where rolname = 'analyst') then
        execute format('grant usage on schema %I to analyst', current_schema());
        for ours in
            select oid::regclass as name from pg_class
            where relnamespace = current_schema()::regnamespace
                and relkind in ('r', 'p', 'v')
                and relname !~ '_[0-9]+$'
                -- Who hashes of erased users could be tried against is hidden.
                and relname <> all(array['erasure', 'erasure_day', 'erasure_salt', 'erased_session', 'clicks_lock', 'step_lock'])
        loop
            execute format('grant select on %s to analyst', ours.name);
        end loop;
    end if;
    if exists (select from pg_roles where rolname = 'publisher') then
        execute format('grant usage, create on schema %I to publisher', current_schema());
        for ours in
            select oid::regclass as name, coalesce(may, 'select') as may
            from pg_class
            left join (
                values  -- what happened is added to and never changed
                    ('live_version_change', 'select, insert'),
                    ('live_channel_change', 'select, insert'),
                    ('gate_verdict', 'select, insert'),
                    ('exposure', 'select, insert'),
                    ('pair_rule', 'select, insert'),
                    ('ingest_ledger', 'select, insert'),
                    ('ingest_rule_count', 'select, insert'),
                    ('catalogue_load', 'select, insert'),
                    ('erasure', 'select, insert'),
                    ('erasure_day', 'select, insert'),
                    ('erased_session', 'select, insert'),
                    -- what is so now
                    ('recommendation_version', 'select, insert, update, delete'),
                    ('live_version', 'select, insert, update'),
                    ('live_channel', 'select, insert, update, delete'),
                    ('list_click', 'select, insert, delete'),
                    ('blocked_product', 'select, insert, delete'),
                    ('title_word', 'select, insert, update, delete'),
                    ('daily_aggregate', 'select, insert, update'),
                    ('night_build', 'select, insert, update'),
                    ('night_build_day', 'select, insert, delete'),
                    ('metric', 'select, insert, delete'),
                    ('live_metric', 'select, insert, delete'),
                    ('clicks_lock', 'select, update, delete'),
                    ('step_lock', 'select, insert, update')
            ) as allowed (relname, may) using (relname)
            where relnamespace = current_schema()::regnamespace
                and relkind in ('r', 'p', 'v')
                and relname !~ '^(recommendation|recommended_product|recommendation_reason)(_[0-9]+)?$'
        loop
            execute format('revoke all on %s from publisher', ours.name);
            execute format('grant %s on %s to publisher', ours.may, ours.name);
        end loop;
        grant execute on function move_live_version(bigint, text, text, text) to publisher;
        grant execute on function move_channel(text, bigint, numeric, text, text) to publisher;
        for ours in
            select oid::regclass as name from pg_class
            where relnamespace = current_schema()::regnamespace
                and relkind in ('r', 'p')
                and relname ~ '^(recommendation|recommended_product|recommendation_reason)(_[0-9]+)?$'
                and relowner <> 'publisher'::regrole
        loop
            if pg_has_role(current_user, 'publisher', 'member') then  -- only an owner attaches partitions
                execute format('alter table %s owner to publisher', ours.name);
            else
                execute format('grant select, insert, update, delete on %s to publisher', ours.name);
            end if;
        end loop;
    end if;
end;
$$;
