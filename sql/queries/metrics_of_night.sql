-- Metrics at 10 of every system and ratio, of one night, or of the last one that was evaluated where none is asked for.
select night, system, segment, metric, value, low, high
from metrics_by_night
where k = 10 and night = coalesce(cast(:night as date), (select max(night) from metric where k = 10))
order by system, segment, metric;
