-- What the lists of readers were worth on the days up to a night, or up to the last one that was judged where none is asked for.
select day, metric, k, value, low, high, queries, value_of_7_days, queries_of_7_days, night, version_id
from metrics_while_live
where day between coalesce(cast(:night as date), (select max(day) from live_metric)) - :days
    and coalesce(cast(:night as date), (select max(day) from live_metric))
order by day, metric;
