-- The one way to move the pointer: statuses, audit and notification change with it or not at all.
create or replace function move_live_version(to_version bigint, action text, actor text, reason text)
returns void
language plpgsql
as $$
declare
    from_version bigint := (select version_id from live_version);
    expected bigint := (select row_count from recommendation_version where version_id = to_version and dropped_at is null);
    attached integer;
    seen bigint;
begin
    if from_version is not distinct from to_version then
        return;
    end if;
    if expected is null then
        raise exception 'version % must have its rows to be live, but they were dropped or never stored: choose another', to_version;
    end if;
    select count(*) into attached
    from pg_inherits
    where not inhdetachpending
        and inhparent in ('recommendation'::regclass, 'recommended_product'::regclass)
        and inhrelid in (to_regclass('recommendation_' || to_version), to_regclass('recommended_product_' || to_version));
    if attached < 2 then
        raise exception 'version % must have its partitions attached to be live, but % of 2 are: choose the version of another night', to_version, attached;
    end if;
    execute format('select count(*) from recommendation where version_id = %s', to_version) into seen;
    if seen <> expected then
        raise exception 'version % must hold % rows to be live, but holds %: choose the version of another night, and find out who changed this one', to_version, expected, seen;
    end if;
    if action = 'rollback' then  -- what is newer than the version that a person goes back to was passed over on purpose
        update recommendation_version as newer
        set status = 'withdrawn', withdrawn_at = clock_timestamp()
        from recommendation_version as former, recommendation_version as latest
        where former.version_id = to_version
            and latest.version_id = from_version
            and (
                newer.version_id = from_version
                or newer.status = 'retired'
                and (newer.night, newer.version_id) > (former.night, former.version_id)
                and (newer.night, newer.version_id) < (latest.night, latest.version_id)
            );
        perform move_channel(channel, null, 0, actor, 'its version was withdrawn: ' || reason)
        from live_channel
        join recommendation_version using (version_id)
        where status = 'withdrawn';
    else
        update recommendation_version set status = 'retired' where version_id = from_version;
    end if;
    update recommendation_version set status = 'live', withdrawn_at = null where version_id = to_version;
    insert into live_version (version_id) values (to_version)
    on conflict ((true)) do update set version_id = excluded.version_id, since = clock_timestamp();
    insert into live_version_change (action, version_id, previous_version_id, actor, reason)
    values (action, to_version, from_version, actor, reason);
    perform pg_notify('live_version', json_build_object(
        'version_id', to_version,
        'previous_version_id', from_version,
        'night', (select night from recommendation_version where version_id = to_version),
        'action', action
    )::text);
end;
$$;

comment on function move_live_version(bigint, text, text, text) is 'Moves the pointer to a version that has all its rows, records who did it and why, and withdraws what a rollback leaves, on every channel; NOTIFY live_version tells caches.';
