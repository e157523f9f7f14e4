-- Who moved the pointer or withdrew a version, and why: the last ones first.
select
    live_from as at, action, previous_night, previous_version_id, night, version_id, actor, reason
from live_history
order by change_id desc
limit :moves;
