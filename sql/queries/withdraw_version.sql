with withdrawn as (
    update recommendation_version
    set status = 'withdrawn', withdrawn_at = clock_timestamp()
    where version_id = :version_id
)
insert into version_withdrawal (version_id, actor, reason) values (:version_id, :actor, :reason);
