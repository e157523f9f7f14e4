-- Content that was published before keeps its version; its interactions are those of the newest build that led to it.
update recommendation_version
set status = case when status = 'live' then 'live' else 'retired' end, judged_at = coalesce(judged_at, now()),
    interactions_hash = :interactions_hash
where version_id = :version_id;
