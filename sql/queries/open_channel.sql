select channel, version_id, share from live_channel where channel = :channel;
