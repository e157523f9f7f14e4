-- Concurrently: readers of the other versions are not locked out. Finalize: goes on where a killed one stopped.
alter table {parent} detach partition {parent}_{version_id} {how};
