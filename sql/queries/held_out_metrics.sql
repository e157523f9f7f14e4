-- Metrics at 10 of one model for its night: one row per system, segment and metric.
select system, segment, metric, value, high
from metric
where night = :night and model_hash = :model_hash and k = 10;
