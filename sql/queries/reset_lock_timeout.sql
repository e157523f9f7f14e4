reset lock_timeout;
