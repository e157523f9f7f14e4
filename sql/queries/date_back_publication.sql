-- For the demo, whose days are of 2017: the first publication of a night's newest version is recorded at another time.
update live_version_change
set changed_at = cast(:published as timestamptz)
where action = 'publish'
    and change_id = (select min(change_id) from live_version_change)
    and version_id = (select max(version_id) from recommendation_version where night = :night);
