-- A past night never displaces a newer live one. Returns a row where the version is live now.
with live as (
    select night from recommendation_version join live_version using (version_id)
),
candidate as (
    select version_id
    from recommendation_version
    where version_id = :version_id
        and not exists (select from live where live.night > recommendation_version.night)
),
moved as (
    insert into live_version (version_id)
    select version_id from candidate
    on conflict ((true)) do update
    set version_id = excluded.version_id, since = excluded.since
    where live_version.version_id <> excluded.version_id
)
select * from candidate;
