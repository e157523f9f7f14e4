-- Held-out figures at 10 over those of the co-click baseline, with their intervals, of the last nights.
select night as day, metric || '@10' as name, value, low, high
from metrics_by_night
where system = 'eclare / co-click'
    and segment = 'all'
    and k = 10
    and metric in ('P', 'nDCG', 'PSP', 'lift')
    and night > (select max(night) - :days from metric)
order by night, name;
