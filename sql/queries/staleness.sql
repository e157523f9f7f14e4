select version_id, night, age_hours from staleness;
