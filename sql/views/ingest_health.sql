-- Grain: one row per ingested day, of its valid load: the last that was not rejected.
create or replace view ingest_health as
with valid_load as (
    select distinct on (day) *
    from ingest_ledger
    where outcome = 'loaded'
    order by day, load_id desc
),
rules as (
    select load_id, jsonb_object_agg(rule, row_count order by rule) as rows_by_rule
    from ingest_rule_count
    group by load_id
),
later_rejections as (
    select valid_load.load_id, count(*) as rejected_since
    from valid_load
    join ingest_ledger as later using (day)
    where later.load_id > valid_load.load_id and later.outcome = 'rejected'
    group by valid_load.load_id
)
select
    day,
    rows_read,
    accepted,
    quarantined,
    duplicates,
    clicks_of_other_days,
    round(100.0 * quarantined / nullif(rows_read, 0), 2) as quarantined_percent,
    coalesce(rows_by_rule, '{}') as rows_by_rule,
    jsonb_array_length(files) as file_count,
    loaded_at,
    coalesce(rejected_since, 0) as rejected_since,
    load_id
from valid_load
left join rules using (load_id)
left join later_rejections using (load_id);

comment on view ingest_health is 'What the valid load of each day read, kept and quarantined. One row per ingested day.';
comment on column ingest_health.day is 'UTC day of the log folder.';
comment on column ingest_health.rows_read is 'Rows in the raw files = accepted + quarantined + duplicates.';
comment on column ingest_health.accepted is 'Rows kept as cleaned clicks.';
comment on column ingest_health.quarantined is 'Rows left out because something in them was wrong.';
comment on column ingest_health.duplicates is 'Rows left out because the same event was there already.';
comment on column ingest_health.clicks_of_other_days is 'Accepted rows of another day: late ones of a day before, early ones of the day after.';
comment on column ingest_health.quarantined_percent is 'Quarantined rows per 100 read; null where no row was read.';
comment on column ingest_health.rows_by_rule is 'Object: rule -> rows it applied to; ingest_rules has them as rows.';
comment on column ingest_health.file_count is 'Raw files read.';
comment on column ingest_health.loaded_at is 'When the load was recorded.';
comment on column ingest_health.rejected_since is 'Later loads of the day that were rejected, so that this one is still valid.';
comment on column ingest_health.load_id is 'ingest_ledger.load_id.';
