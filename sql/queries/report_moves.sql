select live_from, action, night, previous_night, actor, reason
from live_history
where version_id = :version_id or previous_version_id = :version_id
order by change_id desc
limit 20;
