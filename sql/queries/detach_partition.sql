-- concurrently: readers of the other versions are not locked out.
alter table {parent} detach partition {parent}_{version_id} concurrently;
