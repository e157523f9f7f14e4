-- The newest version of a night, staged ones aside, and what is live; no row where the night made none.
select
    version.version_id, version.status, version.row_count, version.product_count, version.judged_at,
    version.code_version, version.dropped_at is null as has_rows, live.version_id as live_version_id,
    live.night as live_night, previous.version_id as previous_version_id, previous.night as previous_night
from (values (cast(:night as date))) as wanted (night)
left join recommendation_version as live on live.version_id = (select version_id from live_version)
left join lateral (
    select *
    from recommendation_version
    where night = wanted.night and status <> 'staged'
    order by version_id desc
    limit 1
) as version on true
left join lateral (
    select former.version_id, former.night
    from recommendation_version as former
    where former.status in ('live', 'retired')
        and former.dropped_at is null
        and (former.night, former.version_id) < (version.night, version.version_id)
    order by former.night desc, former.version_id desc
    limit 1
) as previous on true;
