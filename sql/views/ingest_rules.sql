-- Grain: one row per load and rule that applied to at least one of its rows.
create or replace view ingest_rules as
select
    ledger.day,
    rules.rule,
    rules.outcome,
    rules.row_count,
    round(100.0 * rules.row_count / ledger.rows_read, 2) as percent_of_read,
    ledger.outcome as load_outcome,
    ledger.loaded_at,
    ledger.code_version,
    ledger.load_id
from ingest_rule_count as rules
join ingest_ledger as ledger using (load_id);

comment on view ingest_rules is 'Why rows of the log were left out or remarked on. One row per load and rule.';
comment on column ingest_rules.day is 'UTC day of the log folder.';
comment on column ingest_rules.rule is 'Name of the rule, as in quarantine.parquet.';
comment on column ingest_rules.outcome is 'What became of the rows: quarantined, duplicate, or accepted with a remark.';
comment on column ingest_rules.row_count is 'Rows.';
comment on column ingest_rules.percent_of_read is 'Rows per 100 read.';
comment on column ingest_rules.load_outcome is 'loaded, or rejected: then the former load of the day stays valid.';
comment on column ingest_rules.loaded_at is 'When the load was recorded.';
comment on column ingest_rules.code_version is 'Commit (or package version) of the code that loaded.';
comment on column ingest_rules.load_id is 'ingest_ledger.load_id.';
