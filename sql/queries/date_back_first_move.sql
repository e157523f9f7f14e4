-- For the demo, whose days are of 2017: the very first move of the pointer, to a night's version, is recorded at another time.
update live_version_change
set changed_at = cast(:moved as timestamptz)
where change_id = (select min(change_id) from live_version_change)
    and version_id in (select version_id from recommendation_version where night = :night);
