select move_channel(:channel, :version_id, :share, :actor, :reason);
