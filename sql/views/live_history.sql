-- Grain: one row per move of the pointer, and per version that a person withdrew while it was not live.
create or replace view live_history as
select
    change.change_id,
    change.changed_at as live_from,
    case change.action
        when 'withdraw' then change.changed_at
        else lead(change.changed_at) over (partition by change.action = 'withdraw' order by change.change_id)
    end as live_until,
    change.action,
    change.version_id,
    version.night,
    change.previous_version_id,
    previous.night as previous_night,
    change.actor,
    change.reason
from live_version_change as change
join recommendation_version as version using (version_id)
left join recommendation_version as previous on previous.version_id = change.previous_version_id;

comment on view live_history is 'What readers saw when, and who decided it. One row per move of the pointer, and per version that a person withdrew while it was not live.';
comment on column live_history.change_id is 'Rises with every change.';
comment on column live_history.live_from is 'When the version became live, or was withdrawn.';
comment on column live_history.live_until is 'When another one did; null for the one that is live now; for a version that was withdrawn while it was not live, live_from.';
comment on column live_history.action is 'publish: passed the gate; override: a named person let a rejected or withdrawn version pass; rollback: back to a former version, the one before is withdrawn; withdraw: of a version that was not live, readers saw no change.';
comment on column live_history.version_id is 'The version that became live, or was withdrawn.';
comment on column live_history.night is 'Its night.';
comment on column live_history.previous_version_id is 'The version that was live until then; null for the first, and where it stays live.';
comment on column live_history.previous_night is 'Its night.';
comment on column live_history.actor is 'The system user that published, or the person who decided.';
comment on column live_history.reason is 'Why, in that person''s words.';
