-- Gate verdicts, an audited pointer, versions whose rows may go, where a row came from, metrics of head, torso and tail.

drop view if exists current_recommendations, metrics_by_night, night_freshness;
drop function if exists related_products(text, integer);

alter table recommendation add column source text not null default 'model'
    check (source in ('model', 'co-click', 'cold', 'category', 'popular'));
alter table recommendation alter column source drop default;
comment on column recommendation.source is 'co-click: both were met in one session of the window; model: found without; cold: from the title of a product without clicks; category, popular: what fills up a list.';

alter table recommendation_version drop constraint recommendation_version_status_check;
alter table recommendation_version drop constraint recommendation_version_check;
alter table recommendation_version drop constraint recommendation_version_row_count_check;
alter table recommendation_version drop constraint recommendation_version_product_count_check;
alter table recommendation_version
    drop constraint recommendation_version_night_recommendations_hash_products__key;
alter table recommendation_version rename column published_at to judged_at;
update recommendation_version
set status = case when version_id in (select version_id from live_version) then 'live' else 'retired' end
where status = 'published';
alter table recommendation_version
    add column config_hash text,
    add column dropped_at timestamptz,
    add check (status in ('staged', 'rejected', 'live', 'retired')),
    add check ((judged_at is null) = (status = 'staged')),
    add check (row_count >= 0),
    add check (product_count >= 0);
create unique index recommendation_version_of_content
on recommendation_version (night, recommendations_hash, products_hash) where dropped_at is null;
comment on table recommendation_version is 'One row per set of recommendations that a run made; its rows never change. Stays when retention drops its rows.';
comment on column recommendation_version.status is 'staged: being written, never read; rejected: the gate refused it; live: what readers see; retired: passed, but not live (displaced, rolled back, or a past night).';
comment on column recommendation_version.judged_at is 'When the gate judged it first; null while staged; gate_verdict has every judgement.';
comment on column recommendation_version.config_hash is 'SHA-256 of the hyper-parameters; null for versions from before.';
comment on column recommendation_version.dropped_at is 'When its rows were dropped (or refused by a zero rule); null while they are there.';
comment on column recommendation_version.row_count is 'Rows that the run made.';

create table gate_verdict (
    version_id bigint not null references recommendation_version on delete cascade,
    judged_at timestamptz not null,
    rule text not null,
    passed boolean not null,
    value double precision,
    bound text not null check (bound in ('at least', 'at most')),
    threshold double precision not null,
    reason text not null,
    primary key (version_id, judged_at, rule)
);
comment on table gate_verdict is 'What the gate said before a version could become live: one row per judgement and rule.';
comment on column gate_verdict.version_id is 'recommendation_version.version_id.';
comment on column gate_verdict.judged_at is 'When; all verdicts of a judgement share it.';
comment on column gate_verdict.rule is 'Name of the rule, as in the gate''s config (tasks/gate.py).';
comment on column gate_verdict.passed is 'A version becomes live only if all rules of its judgement passed, or somebody overrode the gate.';
comment on column gate_verdict.value is 'The figure judged; null where there was nothing to compare with.';
comment on column gate_verdict.bound is 'Whether the value must be at least or at most the threshold.';
comment on column gate_verdict.threshold is 'The threshold then.';
comment on column gate_verdict.reason is 'One sentence.';

create table live_version_change (
    change_id bigint generated always as identity primary key,
    changed_at timestamptz not null default clock_timestamp(),
    action text not null check (action in ('publish', 'rollback', 'override')),
    version_id bigint not null references recommendation_version,
    previous_version_id bigint references recommendation_version,
    actor text not null check (actor <> ''),
    reason text not null check (reason <> '')
);
comment on table live_version_change is 'Every move of the pointer: who, when and why.';
comment on column live_version_change.change_id is 'Rises with every change.';
comment on column live_version_change.changed_at is 'When the pointer moved.';
comment on column live_version_change.action is 'publish: passed the gate; override: a named person let a rejected version pass; rollback: back to a former version.';
comment on column live_version_change.version_id is 'The version that became live.';
comment on column live_version_change.previous_version_id is 'The version that was live until then; null for the first.';
comment on column live_version_change.actor is 'The system user that published, or the person who decided.';
comment on column live_version_change.reason is 'Why, in that person''s words.';
insert into live_version_change (changed_at, action, version_id, actor, reason)
select since, 'publish', version_id, 'migration', 'was live when changes began to be written down' from live_version;

alter table metric add column segment text not null default 'all' check (segment in ('all', 'head', 'torso', 'tail'));
alter table metric drop constraint metric_pkey;
alter table metric add primary key (night, model_hash, system, segment, metric, k);
comment on column metric.segment is 'all; or only hits on related products of the head, torso or tail: a third of the training clicks each, most clicked first.';
