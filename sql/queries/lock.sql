-- Held until the connection closes; each schema has its own.
select pg_advisory_lock(hashtextextended(current_schema() || ' ' || :what, 0));
