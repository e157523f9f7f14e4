-- Other versions for a share of the sessions: pointers by name beside the live one, each move with its reason.

create table live_channel (
    channel text primary key check (channel ~ '^[a-z0-9_]{1,40}$' and channel <> 'default'),
    version_id bigint not null references recommendation_version,
    share numeric not null check (share >= 0 and share <= 1),
    since timestamptz not null default now()
);
comment on table live_channel is 'Pointers beside live_version, for tests of two versions: one row per channel. Sessions of no channel see the live version, channel default.';
comment on column live_channel.channel is 'Its name, which the shop asks for.';
comment on column live_channel.version_id is 'recommendation_version.version_id of the version that its readers see; kept by retention.';
comment on column live_channel.share is 'Share of the sessions that channel_of sends there, from 0 (by name alone) to 1.';
comment on column live_channel.since is 'When its version or share last changed.';

create table live_channel_change (
    change_id bigint generated always as identity primary key,
    changed_at timestamptz not null default clock_timestamp(),
    channel text not null,
    version_id bigint references recommendation_version,
    previous_version_id bigint references recommendation_version,
    share numeric not null,
    actor text not null check (actor <> ''),
    reason text not null check (reason <> '')
);
comment on table live_channel_change is 'Every change of a channel: who, when and why.';
comment on column live_channel_change.change_id is 'Rises with every change.';
comment on column live_channel_change.changed_at is 'When.';
comment on column live_channel_change.channel is 'The channel.';
comment on column live_channel_change.version_id is 'What its readers see from then on; null where it was closed, so that they see the live version.';
comment on column live_channel_change.previous_version_id is 'What they saw until then; null where the channel was opened.';
comment on column live_channel_change.share is 'Share of the sessions from then on.';
comment on column live_channel_change.actor is 'The system user or the person who decided.';
comment on column live_channel_change.reason is 'Why, in that person''s words.';
