insert into ingest_ledger (
    day, files, clicks_hash, rows_read, accepted, refused, duplicates, refused_by_reason, code_version
)
values (
    :day, cast(:files as jsonb), :clicks_hash, :rows_read, :accepted, :refused, :duplicates,
    cast(:refused_by_reason as jsonb), :code_version
);
