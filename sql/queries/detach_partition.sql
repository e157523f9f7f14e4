-- concurrently: readers of the other versions are not locked out; finalize: completes one that was killed.
alter table {parent} detach partition {parent}_{version_id} {how};
