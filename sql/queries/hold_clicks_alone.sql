lock table clicks_lock in exclusive mode;
