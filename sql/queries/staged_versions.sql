select version_id from recommendation_version where status = 'staged';
