-- Versions beyond what is kept are given up before their partitions go: nobody then makes one live that is losing rows.
-- clock_timestamp(): later than the snapshot which tells that they are not live; versions_with_tables relies on it.
with kept as (
    select version_id, night, status, created_at, row_number() over (order by version_id desc) as age
    from recommendation_version
    where status <> 'staged' and dropped_at is null
),
live as (
    select version_id, night from kept where status = 'live'
),
before_live as (
    select kept.version_id
    from kept
    cross join live
    where kept.status = 'retired' and (kept.night, kept.version_id) < (live.night, live.version_id)
    order by kept.night desc, kept.version_id desc
    limit 1
)
update recommendation_version
set dropped_at = clock_timestamp()
where version_id in (
    select version_id
    from kept
    where (age > :keep_versions or created_at < now() - make_interval(days => :keep_days))
        and status <> 'live'
        and version_id not in (select version_id from before_live)
        and version_id not in (select version_id from live_channel)
);
