-- Other views name this function: a file's name decides when it is made.
create or replace function version_before_live()
returns bigint
language sql stable
begin atomic
    select former.version_id
    from recommendation_version as former
    join recommendation_version as live on live.version_id = (select live_version.version_id from live_version)
    where former.status = 'retired'
        and former.dropped_at is null
        and (former.night, former.version_id) < (live.night, live.version_id)
    order by former.night desc, former.version_id desc
    limit 1;
end;

comment on function version_before_live() is 'The accepted version before the live one, by night, whose rows are kept: what a rollback goes back to. Null where there is none.';
