-- Held-out metrics at 10 of the nights up to this one: ours, and of each metric that of the rival which is best at it.
select night, case when system = 'eclare' then system else 'best rival' end as system, segment, metric, max(value) as value
from metrics_by_night
where k = 10
    and (system = 'eclare' or (system <> 'live' and system not like 'eclare %' and system not like '% / %' and system not like '% by rules'))
    and metric in ('P', 'nDCG', 'PSP', 'lift', 'recall')
    and night between cast(:night as date) - :days and cast(:night as date)
group by 1, 2, 3, 4
order by night;
