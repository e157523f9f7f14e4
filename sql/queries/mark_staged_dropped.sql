update recommendation_version set dropped_at = clock_timestamp() where status = 'staged' and dropped_at is null;
