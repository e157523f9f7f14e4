delete from recommendation_version where version_id = :version_id and status = 'staged';
