-- Who moved the pointer to a version or away from it, or withdrew it, and why: the last ones first.
select
    live_from as at, action, previous_night, previous_version_id, night, version_id, actor, reason
from live_history
where version_id = :version_id or previous_version_id = :version_id
order by change_id desc
limit :moves;
