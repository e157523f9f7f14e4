select version_id, night, age_hours, night_ended_hours from staleness;
