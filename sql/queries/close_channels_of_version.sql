-- What is bad for some is bad for all: readers of these channels see the live version from now on.
select move_channel(channel, null, 0, :actor, 'its version was withdrawn: ' || :reason)
from live_channel
where version_id = :version_id;
