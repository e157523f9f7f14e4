-- What the ledger says of a night's inputs: one row. Days of its window that it did not see, from the first that was ever
-- aggregated; rows and refused share of its own day beside those of days before; clicks on products outside the catalogue.
with health as (
    select
        day, rows_read, quarantined::float8 / rows_read as refused,
        coalesce((rows_by_rule ->> 'product_not_in_catalogue')::float8, 0) / nullif(accepted, 0) as outside_catalogue
    from ingest_health
    where rows_read > 0 and day between cast(:night as date) - 56 and :night
),
weekdays as (
    select count(*) as days, percentile_cont(0.5) within group (order by rows_read) as usual
    from health
    where day < :night and extract(dow from day) = extract(dow from cast(:night as date))
),
refusals as (
    select count(*) as days, percentile_cont(0.5) within group (order by refused) as usual
    from health
    where day between cast(:night as date) - 28 and cast(:night as date) - 1
),
missing as (
    select array_agg(cast(of_window.day as date) order by of_window.day) filter (where used.day is null) as days
    from night_build as build
    cross join generate_series(
        greatest(build.first_day, (select min(day) from daily_aggregate)), build.night, interval '1 day'
    ) as of_window (day)
    left join night_build_day as used
        on used.night = build.night and used.interactions_hash = build.interactions_hash and used.day = of_window.day
    where build.night = :night and build.interactions_hash = :interactions_hash
)
select
    exists (select from night_build where night = :night and interactions_hash = :interactions_hash) as is_built,
    coalesce(missing.days, '{}') as missing_days,
    tonight.rows_read, tonight.refused, tonight.outside_catalogue,
    weekdays.days as weekdays, weekdays.usual as usual_rows,
    refusals.days as refusals, refusals.usual as usual_refused
from missing, weekdays, refusals
left join health as tonight on tonight.day = :night;
