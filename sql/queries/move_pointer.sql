select move_live_version(:version_id, :action, :actor, :reason);
