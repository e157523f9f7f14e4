-- A person withdraws a version that is not live; lookups lock one partition (sql/views, made anew by each migration).

alter table live_version_change
    drop constraint live_version_change_action_check,
    add constraint live_version_change_action_check
        check (action in ('publish', 'rollback', 'override', 'withdraw'));
comment on table live_version_change is 'Every move of the pointer, and every version that a person withdrew while it was not live: who, when and why.';
comment on column live_version_change.changed_at is 'When the pointer moved, or the version was withdrawn.';
comment on column live_version_change.action is 'publish: passed the gate; override: a named person let a rejected or withdrawn version pass; rollback: back to a former version, the one before is withdrawn; withdraw: a version that was not live, and the pointer stays.';
comment on column live_version_change.version_id is 'The version that became live, or was withdrawn.';
comment on column live_version_change.previous_version_id is 'The version that was live until then; null for the first, and where the pointer stays.';
comment on column live_version_change.actor is 'The system user that published, or the person who decided.';
comment on column recommendation_version.status is 'staged: being written, never read; rejected: the gate refused it; live: what readers see; retired: passed, but not live (displaced, or a past night); withdrawn: a person took it away, by a rollback or by itself, and only a person who approves it brings it back.';
comment on column recommendation_version.withdrawn_at is 'When a person took it away; null where nobody did, or it was approved since.';
