update recommendation_version
set status = 'published', published_at = now()
where version_id = :version_id and status = 'staged';
