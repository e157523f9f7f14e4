-- Locks of steps as rows: any login may take an advisory lock, and an analyst who does would hold up every publish.

create table step_lock (
    what text primary key,
    since timestamptz not null default now()
);
comment on table step_lock is 'What one step at a time may do: a step holds the row while it works. Analysts cannot write it, so they cannot hold it.';
comment on column step_lock.what is 'publish, or the clicks or the catalogue of a day.';
comment on column step_lock.since is 'When it was held last, by a step that ended well.';

-- A version that was judged stays in the history with its verdicts.
alter table gate_verdict
    drop constraint gate_verdict_version_id_fkey,
    add foreign key (version_id) references recommendation_version;
