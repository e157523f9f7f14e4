create or replace function version_of_channel(channel text)
returns bigint
language sql stable
begin atomic
    select coalesce(
        (select live_channel.version_id from live_channel where live_channel.channel = version_of_channel.channel),
        (select live_version.version_id from live_version)
    );
end;

comment on function version_of_channel(text) is 'The version that readers of a channel see: the live one of the channel default and of any that is not open.';
