-- One of the first to be created, since others use it.
create or replace function version_before(version_id bigint)
returns bigint
language sql stable
begin atomic
    select former.version_id
    from recommendation_version as former
    join recommendation_version as later on later.version_id = version_before.version_id
    where former.status in ('live', 'retired')
        and former.dropped_at is null
        and (former.night, former.version_id) < (later.night, later.version_id)
    order by former.night desc, former.version_id desc
    limit 1;
end;

comment on function version_before(bigint) is 'The accepted version before another one, by night, whose rows are kept. Null where there is none.';
