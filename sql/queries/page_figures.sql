-- Held-out figures at 10 of what readers get over those of co-clicks by the same rules, with intervals, of the last nights.
select night as day, metric || '@10' as name, value, low, high
from metrics_by_night
where system = 'eclare by rules / co-click by rules'
    and segment = 'all'
    and k = 10
    and metric in ('P', 'nDCG', 'PSP', 'lift')
    and night > (select max(night) - :days from metric)
order by night, name;
