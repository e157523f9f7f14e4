create or replace function channel_of(session_id text)
returns text
language sql stable
begin atomic
    with stretch as (
        select channel, sum(share) over (order by channel collate "C") as ends from live_channel
    ),
    session as (
        select ('x' || left(md5('channel of session ' || session_id), 8))::bit(32)::bigint / 4294967296.0 as place
    )
    select coalesce((select min(stretch.channel collate "C") from stretch, session where session.place < stretch.ends), 'default');
end;

comment on function channel_of(text) is 'The channel of a session, always the same while shares are: the first 8 hexadecimal digits of md5(''channel of session '' || session_id) over 16^8 are its place from 0 to 1, on which the channels, by name, lie end to end as long as their shares; the rest is default.';
