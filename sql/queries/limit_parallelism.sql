-- For this transaction: sort and join in memory, not in files, and with one process, so that readers have the other core.
set local work_mem = '256MB';
set local maintenance_work_mem = '512MB';
set local max_parallel_workers_per_gather = 0;
set local max_parallel_maintenance_workers = 0;
