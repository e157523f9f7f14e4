-- Held-out metrics of the nights up to this one.
select night, system, segment, metric, value
from metrics_by_night
where k = 10
    and system in ('eclare', 'co-click')
    and night between cast(:night as date) - :days and cast(:night as date)
order by night;
