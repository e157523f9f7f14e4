-- The version that was live for most of each day, where it had seen none of the day's clicks; days without one have no row.
with stretch as (
    select
        day::date as day, version_id,
        tstzrange(day at time zone 'UTC', (day + interval '1 day') at time zone 'UTC')
        * tstzrange(live_from, coalesce(live_until, now())) as live
    from live_history
    cross join generate_series(cast(:first as timestamp), cast(:last as timestamp), interval '1 day') as day
    where live_from < coalesce(live_until, now())
),
live_on as (
    select day, version_id, sum(extract(epoch from upper(live) - lower(live))) / 3600 as hours
    from stretch
    where not isempty(live)
    group by day, version_id
)
select live_on.day, live_on.version_id, live_on.hours::real as live_hours, version.dropped_at is null as has_rows
from live_on
join recommendation_version as version using (version_id)
where live_on.hours > 12 and version.night < live_on.day
order by live_on.day;
