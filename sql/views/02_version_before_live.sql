create or replace function version_before_live()
returns bigint
language sql stable
begin atomic
    select version_before((select live_version.version_id from live_version));
end;

comment on function version_before_live() is 'The accepted version before the live one, by night, whose rows are kept: what a rollback goes back to. Null where there is none.';
