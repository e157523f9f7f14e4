-- Not of versions that lost their rows: they cannot be counted again.
delete from list_click
where day = :day
    and version_id in (select version_id from recommendation_version where dropped_at is null);
