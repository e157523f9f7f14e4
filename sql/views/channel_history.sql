-- Grain: one row per change of a channel.
create or replace view channel_history as
select
    change.change_id,
    change.channel,
    change.changed_at as live_from,
    lead(change.changed_at) over (partition by change.channel order by change.change_id) as live_until,
    change.version_id,
    version.night,
    change.share,
    change.actor,
    change.reason
from live_channel_change as change
left join recommendation_version as version using (version_id);

comment on view channel_history is 'What readers of each channel saw when, and who decided it. One row per change.';
comment on column channel_history.change_id is 'Rises with every change.';
comment on column channel_history.channel is 'The channel.';
comment on column channel_history.live_from is 'When it changed.';
comment on column channel_history.live_until is 'When it changed again; null for what is so now.';
comment on column channel_history.version_id is 'What its readers saw; null where it was closed, so that they saw the live version.';
comment on column channel_history.night is 'That version''s night.';
comment on column channel_history.share is 'Share of the sessions that channel_of sent there.';
comment on column channel_history.actor is 'The system user or the person who decided.';
comment on column channel_history.reason is 'Why, in that person''s words.';
