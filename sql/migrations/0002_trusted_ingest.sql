-- Loads with every rule's count; the catalogue and the daily aggregates by day; what each night was built from; erasures.

drop view if exists ingest_health;

alter table ingest_ledger rename column refused to quarantined;
alter table ingest_ledger add column outcome text not null default 'loaded' check (outcome in ('loaded', 'rejected'));
alter table ingest_ledger add column clicks_of_other_days bigint not null default 0 check (clicks_of_other_days >= 0);
alter table ingest_ledger alter column clicks_hash drop not null;
comment on column ingest_ledger.quarantined is 'Rows left out because something in them was wrong; they lie in quarantine.parquet.';
comment on column ingest_ledger.outcome is 'loaded: its clicks replaced the day''s; rejected: too many rows were refused, the former load stands.';
comment on column ingest_ledger.clicks_of_other_days is 'Accepted rows that came late and belong to a day before; part of accepted.';
comment on column ingest_ledger.clicks_hash is 'SHA-256 of the artefact of cleaned clicks; null where the load was rejected.';
comment on column ingest_ledger.load_id is 'Rises with every load; the highest loaded one of a day is the one whose clicks stand.';

create table ingest_rule_count (
    load_id bigint not null references ingest_ledger,
    rule text not null,
    outcome text not null check (outcome in ('quarantined', 'duplicate', 'accepted')),
    row_count bigint not null check (row_count > 0),
    primary key (load_id, rule)
);
comment on table ingest_rule_count is 'Rows that a rule spoke about, by load; rules that found nothing have no row.';
comment on column ingest_rule_count.load_id is 'ingest_ledger.load_id.';
comment on column ingest_rule_count.rule is 'Name of the rule, as in quarantine.parquet.';
comment on column ingest_rule_count.outcome is 'What became of the rows: quarantined, duplicate, or accepted with a remark.';
comment on column ingest_rule_count.row_count is 'Rows.';

insert into ingest_rule_count (load_id, rule, outcome, row_count)
select load_id, key, 'quarantined', value::bigint
from ingest_ledger, jsonb_each_text(refused_by_reason)
where value::bigint > 0;
insert into ingest_rule_count (load_id, rule, outcome, row_count)
select load_id, 'duplicate', 'duplicate', duplicates
from ingest_ledger
where duplicates > 0;
alter table ingest_ledger drop column refused_by_reason;

create table catalogue_load (
    load_id bigint generated always as identity primary key,
    day date not null,
    loaded_at timestamptz not null default now(),
    file_name text not null,
    file_hash text not null,
    catalogue_hash text not null,
    products bigint not null check (products > 0),
    refused bigint not null check (refused >= 0),
    code_version text not null
);
create index catalogue_load_by_day on catalogue_load (day, load_id desc);
comment on table catalogue_load is 'One row per catalogue stored for a day; nights from that day on see it until a later one.';
comment on column catalogue_load.load_id is 'Rises with every load; the highest of a day is the one that stands.';
comment on column catalogue_load.day is 'First UTC day on which it holds.';
comment on column catalogue_load.loaded_at is 'When it was stored.';
comment on column catalogue_load.file_name is 'Name of the delivered file.';
comment on column catalogue_load.file_hash is 'SHA-256 of the delivered file.';
comment on column catalogue_load.catalogue_hash is 'SHA-256 of the stored products.';
comment on column catalogue_load.products is 'Products kept.';
comment on column catalogue_load.refused is 'Rows left out because the id or the title was missing.';
comment on column catalogue_load.code_version is 'Commit (or package version) of the code that loaded.';

create table daily_aggregate (
    day date primary key,
    aggregate_hash text not null,
    sessions bigint not null check (sessions >= 0),
    products bigint not null check (products >= 0),
    pairs bigint not null check (pairs >= 0),
    made_at timestamptz not null default now(),
    code_version text not null
);
comment on table daily_aggregate is 'The aggregates that nights add up, one row per day; made anew whenever the day''s clicks change.';
comment on column daily_aggregate.day is 'UTC day of the clicks, late ones included.';
comment on column daily_aggregate.aggregate_hash is 'SHA-256 of the aggregates.';
comment on column daily_aggregate.sessions is 'Sessions of the day.';
comment on column daily_aggregate.products is 'Different products in them.';
comment on column daily_aggregate.pairs is 'Rows of pairs stored.';
comment on column daily_aggregate.made_at is 'When they were made last.';
comment on column daily_aggregate.code_version is 'Commit (or package version) of the code that made them.';

create table night_build (
    night date not null,
    interactions_hash text not null,
    first_day date not null check (first_day <= night),
    catalogue_day date not null,
    catalogue_hash text not null,
    built_at timestamptz not null default now(),
    code_version text not null,
    primary key (night, interactions_hash)
);
comment on table night_build is 'One row per night and set of interactions built for it.';
comment on column night_build.night is 'Last UTC day of the window.';
comment on column night_build.interactions_hash is 'SHA-256 of the interactions; joins with recommendation_version.';
comment on column night_build.first_day is 'First UTC day of the window.';
comment on column night_build.catalogue_day is 'Day of the catalogue it saw.';
comment on column night_build.catalogue_hash is 'SHA-256 of that catalogue''s products.';
comment on column night_build.built_at is 'When it was built last.';
comment on column night_build.code_version is 'Commit (or package version) of the code that built it.';

create table night_build_day (
    night date not null,
    interactions_hash text not null,
    day date not null,
    aggregate_hash text not null,
    primary key (night, interactions_hash, day),
    foreign key (night, interactions_hash) references night_build on delete cascade
);
comment on table night_build_day is 'The days that a night added up: one row per build and day.';
comment on column night_build_day.night is 'night_build.night.';
comment on column night_build_day.interactions_hash is 'night_build.interactions_hash.';
comment on column night_build_day.day is 'A UTC day of the window that had aggregates.';
comment on column night_build_day.aggregate_hash is 'daily_aggregate.aggregate_hash as it was then.';

alter table recommendation_version add column interactions_hash text;
comment on column recommendation_version.interactions_hash is 'SHA-256 of the interactions it was trained on; joins with night_build. Null for versions from before.';

create table erasure_salt (salt text not null);
create unique index erasure_salt_has_one_row on erasure_salt ((true));
insert into erasure_salt values (gen_random_uuid()::text);
comment on table erasure_salt is 'One row: what user ids are hashed with, so that the hashes of two installations differ.';
comment on column erasure_salt.salt is 'A random text, made once.';

create table erasure (
    erasure_id bigint generated always as identity primary key,
    user_hash text not null,
    reason text not null,
    erased_at timestamptz not null default now(),
    code_version text not null
);
comment on table erasure is 'One row per call of erase; later loads leave out every user in it. The id itself is stored nowhere.';
comment on column erasure.erasure_id is 'Rises with every erasure.';
comment on column erasure.user_hash is 'SHA-256 of the salt followed by the user id.';
comment on column erasure.reason is 'Why, as the operator put it.';
comment on column erasure.erased_at is 'When it began.';
comment on column erasure.code_version is 'Commit (or package version) of the code that erased.';

create table erasure_day (
    erasure_id bigint not null references erasure,
    day date not null,
    clicks bigint not null check (clicks >= 0),
    quarantined bigint not null check (quarantined >= 0),
    primary key (erasure_id, day)
);
comment on table erasure_day is 'What an erasure took out of a day: one row per erasure and day that held something.';
comment on column erasure_day.erasure_id is 'erasure.erasure_id.';
comment on column erasure_day.day is 'Day whose load was rewritten.';
comment on column erasure_day.clicks is 'Cleaned clicks taken out.';
comment on column erasure_day.quarantined is 'Quarantined rows whose content was blanked; they still count.';
