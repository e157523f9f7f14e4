-- Grain: one row, always.
create or replace view staleness as
select
    version.version_id,
    version.night,
    live.since as live_since,
    round(extract(epoch from now() - live.since) / 3600, 2) as age_hours,
    round(extract(epoch from now() - (version.night + 1)::timestamp at time zone 'UTC') / 3600, 2) as night_ended_hours
from (values (1)) as always (row)
left join live_version as live on true
left join recommendation_version as version using (version_id);

comment on view staleness is 'How old the live version is. One row; all null where nothing is live.';
comment on column staleness.version_id is 'The live version.';
comment on column staleness.night is 'Last UTC day of clicks it was made from.';
comment on column staleness.live_since is 'When it became live.';
comment on column staleness.age_hours is 'Hours since then.';
comment on column staleness.night_ended_hours is 'Hours since its last day of clicks ended (UTC).';
