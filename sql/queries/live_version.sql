-- Locked until the transaction ends, so that nobody else moves the pointer in between.
select live.version_id, version.night, live.since
from live_version as live
join recommendation_version as version using (version_id)
for update of live;
