update recommendation_version set dropped_at = now() where status = 'staged' and dropped_at is null;
