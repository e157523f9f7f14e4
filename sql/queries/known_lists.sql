select
    array(select version_id::text from recommendation_version where status <> 'staged'),
    array(select 'default' union select channel from live_channel_change);
