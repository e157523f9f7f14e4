-- Grain: one row per ingested day, of its latest load.
create or replace view ingest_health as
with latest_load as (
    select distinct on (day) *
    from ingest_ledger
    order by day, load_id desc
)
select
    day,
    rows_read,
    accepted,
    refused,
    duplicates,
    round(100.0 * refused / nullif(rows_read, 0), 2) as refused_percent,
    refused_by_reason,
    jsonb_array_length(files) as file_count,
    loaded_at,
    load_id
from latest_load;

comment on view ingest_health is 'What the latest load of each day read, kept and refused. One row per ingested day.';
comment on column ingest_health.day is 'UTC day of the clicks.';
comment on column ingest_health.rows_read is 'Rows in the raw files.';
comment on column ingest_health.accepted is 'Rows kept as cleaned clicks.';
comment on column ingest_health.refused is 'Rows left out because something in them was wrong.';
comment on column ingest_health.duplicates is 'Rows left out because the same event was there already.';
comment on column ingest_health.refused_percent is 'Refused rows per 100 read; null where no row was read.';
comment on column ingest_health.refused_by_reason is 'Object: reason -> refused rows.';
comment on column ingest_health.file_count is 'Raw files read.';
comment on column ingest_health.loaded_at is 'When the load was recorded.';
comment on column ingest_health.load_id is 'ingest_ledger.load_id.';
