-- One row: the newest version of a night that is not staged (null where the night made none), what is live, and what was
-- accepted before.
select
    version.version_id, version.algorithm, version.status, version.row_count, version.product_count, version.judged_at,
    version.code_version, version.model_code_version, live.night as live_night, previous.version_id as previous_version_id,
    previous.night as previous_night
from (values (cast(:night as date))) as wanted (night)
left join recommendation_version as live on live.version_id = (select version_id from live_version)
left join lateral (
    select *
    from recommendation_version
    where night = wanted.night and status <> 'staged'
    order by version_id desc
    limit 1
) as version on true
left join recommendation_version as previous on previous.version_id = version_before(version.version_id);
