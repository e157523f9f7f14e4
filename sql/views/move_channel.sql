-- The one way to change a channel: its audit and notification change with it or not at all.
create or replace function move_channel(to_channel text, to_version bigint, to_share numeric, actor text, reason text)
returns void
language plpgsql
as $$
declare
    from_version bigint := (select version_id from live_channel where channel = to_channel);
    seen recommendation_version := (select version from recommendation_version as version where version_id = to_version);
    others numeric := (select coalesce(sum(share), 0) from live_channel where channel <> to_channel);
begin
    if to_version is null then
        if from_version is null then
            raise exception 'channel % must be open to be closed, but it is not: see the table live_channel', to_channel;
        end if;
        delete from live_channel where channel = to_channel;
    else
        if seen.status is null or seen.status not in ('live', 'retired') or seen.dropped_at is not null then
            raise exception 'version % must have passed the gate and have its rows to be shown on a channel, got one that %: choose another, or approve it', to_version,
                case when seen.status is null then 'is not there' when seen.dropped_at is not null then 'lost its rows' else 'is ' || seen.status end;
        end if;
        if others + to_share > 1 then
            raise exception 'shares of all channels must add up to 1 at most, got % with % of the others: give a smaller one', to_share, others;
        end if;
        insert into live_channel (channel, version_id, share) values (to_channel, to_version, to_share)
        on conflict (channel) do update
        set version_id = excluded.version_id, share = excluded.share, since = clock_timestamp();
    end if;
    insert into live_channel_change (channel, version_id, previous_version_id, share, actor, reason)
    values (to_channel, to_version, from_version, case when to_version is null then 0 else to_share end, actor, reason);
    perform pg_notify('live_channel', json_build_object(
        'channel', to_channel, 'version_id', to_version, 'previous_version_id', from_version
    )::text);
end;
$$;

comment on function move_channel(text, bigint, numeric, text, text) is 'Points a channel to a version, with its share of the sessions, or closes it (version null), and records who did it and why; NOTIFY live_channel tells caches.';
