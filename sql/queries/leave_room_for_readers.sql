-- For this transaction: a night's keys are sorted and joined in memory, not in files, and by one process alone.
set local work_mem = '256MB';
set local maintenance_work_mem = '512MB';
set local max_parallel_workers_per_gather = 0;
set local max_parallel_maintenance_workers = 0;
