-- ECLARE's held-out metrics at 10 over those of the co-click baseline, of the last sixty nights, and the baseline itself, 1.
with ratios as (
    select ours.night, ours.metric || '@10' as name, ours.value / theirs.value as value
    from metrics_by_night as ours
    join metrics_by_night as theirs using (night, metric, k, segment)
    where ours.system = 'eclare'
        and theirs.system = 'co-click'
        and theirs.value > 0
        and ours.segment = 'all'
        and ours.k = 10
        and ours.metric in ('P', 'PSP', 'nDCG')
        and ours.night > (select max(night) - 60 from metric)
)
select night, name, value from ratios
union all
select distinct night, 'co-clicks', 1.0 from ratios
order by night, name;
