update recommendation_version set dropped_at = now() where version_id = :version_id;
