-- ECLARE's held-out metrics at 10 over those of the rival that is best at each, of the last nights, and 1 for the rival.
with best as (
    select night, metric, max(value) as value
    from metrics_by_night
    where k = 10 and segment = 'all' and system not in ('eclare', 'live') and system not like 'eclare %'
    group by night, metric
),
ratios as (
    select ours.night, ours.metric || '@10' as name, ours.value / best.value as value
    from metrics_by_night as ours
    join best using (night, metric)
    where ours.system = 'eclare'
        and best.value > 0
        and ours.segment = 'all'
        and ours.k = 10
        and ours.metric in ('P', 'nDCG', 'PSP', 'lift')
        and ours.night > (select max(night) - :days from metric)
)
select night as day, name, value from ratios
union all
select distinct night, 'best rival', 1.0 from ratios
order by day, name;
