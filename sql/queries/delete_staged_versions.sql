delete from recommendation_version
where status = 'staged' and dropped_at is not null and to_regclass('recommendation_' || version_id) is null;
