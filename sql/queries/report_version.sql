-- One row: the newest version of a night that is not staged (null where the night made none), when it was live last, what
-- was live when this was read, and what was accepted before.
select
    version.version_id, version.algorithm, version.status, version.row_count, version.product_count, version.judged_at,
    version.withdrawn_at, version.code_version, version.model_code_version, shown.live_from, shown.live_until,
    live.night as live_night, pointer.since as live_since, previous.version_id as previous_version_id,
    previous.night as previous_night
from (values (cast(:night as date))) as wanted (night)
left join live_version as pointer on true
left join recommendation_version as live on live.version_id = pointer.version_id
left join lateral (
    select *
    from recommendation_version
    where night = wanted.night and status <> 'staged'
    order by version_id desc
    limit 1
) as version on true
left join lateral (
    select live_from, live_until
    from live_history
    where version_id = version.version_id
    order by change_id desc
    limit 1
) as shown on true
left join recommendation_version as previous on previous.version_id = version_before(version.version_id);
