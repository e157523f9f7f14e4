-- Held until the connection closes; each schema has its own. Whoever may log in may hold it: migrations alone wait for it.
select set_config('lock_timeout', '5min', true), pg_advisory_lock(hashtextextended(current_schema() || ' schema', 0));
