-- The one way to move the pointer: statuses, audit and notification change with it or not at all.
create or replace function move_live_version(to_version bigint, action text, actor text, reason text)
returns void
language plpgsql
as $$
declare
    from_version bigint := (select version_id from live_version);
begin
    if from_version is not distinct from to_version then
        return;
    end if;
    update recommendation_version set status = 'retired' where version_id = from_version;
    update recommendation_version set status = 'live' where version_id = to_version and dropped_at is null;
    if not found then
        raise exception 'version % has no rows that could be live', to_version;
    end if;
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

comment on function move_live_version(bigint, text, text, text) is 'Moves the pointer to a version and records who did it and why; NOTIFY live_version tells caches.';
