with withdrawn as (
    update recommendation_version
    set status = 'withdrawn', withdrawn_at = clock_timestamp()
    where version_id = :version_id
    returning version_id
)
insert into live_version_change (action, version_id, actor, reason)
select :action, version_id, :actor, :reason from withdrawn;
