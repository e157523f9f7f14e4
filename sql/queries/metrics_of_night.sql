-- Both systems side by side, one row per metric and k.
select
    metric,
    k,
    max(value) filter (where system = 'eclare') as eclare,
    max(value) filter (where system = 'co-click') as co_click
from metrics_by_night
where night = :night and k > 0 and segment = 'all'
group by metric, k
order by metric, k;
