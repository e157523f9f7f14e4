-- Grain: one row per night and build of its interactions.
create or replace view night_freshness as
with changed_day as (
    select build.night, build.interactions_hash, aggregate.day
    from night_build as build
    join daily_aggregate as aggregate on aggregate.day between build.first_day and build.night
    left join night_build_day as used
        on used.night = build.night and used.interactions_hash = build.interactions_hash
        and used.day = aggregate.day
    where used.aggregate_hash is distinct from aggregate.aggregate_hash
),
changed as (
    select night, interactions_hash, array_agg(day order by day) as changed_days
    from changed_day
    group by night, interactions_hash
),
published as (
    select night, interactions_hash, max(version_id) as version_id
    from recommendation_version
    where status in ('live', 'retired')
    group by night, interactions_hash
)
select
    build.night,
    changed.changed_days is not null as out_of_date,
    coalesce(changed.changed_days, '{}') as changed_days,
    build.first_day,
    build.catalogue_day,
    build.built_at,
    published.version_id,
    coalesce(published.version_id = (select version_id from live_version), false) as is_live,
    build.interactions_hash
from night_build as build
left join changed using (night, interactions_hash)
left join published using (night, interactions_hash);

comment on view night_freshness is 'Whether a day of a night''s window was loaded again (or first) after the night was built. One row per night and build.';
comment on column night_freshness.night is 'Last UTC day of the window.';
comment on column night_freshness.out_of_date is 'True where a run of the night would see other clicks now.';
comment on column night_freshness.changed_days is 'Days of the window whose clicks are not those that the night saw.';
comment on column night_freshness.first_day is 'First UTC day of the window.';
comment on column night_freshness.catalogue_day is 'Day of the catalogue that the night saw.';
comment on column night_freshness.built_at is 'When the night was built last.';
comment on column night_freshness.version_id is 'Newest version published from this build; null where there is none.';
comment on column night_freshness.is_live is 'True where that version is the live one.';
comment on column night_freshness.interactions_hash is 'SHA-256 of the interactions.';
