-- Content that was published before keeps its version; its inputs are those of the newest build that gave it.
update recommendation_version
set status = 'published', published_at = coalesce(published_at, now()), interactions_hash = :interactions_hash
where version_id = :version_id;
