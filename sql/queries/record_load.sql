insert into ingest_ledger (
    day, outcome, files, clicks_hash, rows_read, accepted, quarantined, duplicates, clicks_of_other_days, code_version
)
values (
    :day, :outcome, cast(:files as jsonb), :clicks_hash, :rows_read, :accepted, :quarantined, :duplicates,
    :clicks_of_other_days, :code_version
)
returning load_id;
