lock table clicks_lock in row share mode;
