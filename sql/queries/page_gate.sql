-- What the gate measured of the last nights, as judged last, with the thresholds of then.
select distinct on (night, rule) night as day, rule as name, value, bound, threshold
from gate_history
where rule = any(:rules)
    and value is not null
    and night > (select max(night) - :days from recommendation_version)
order by night, rule, judged_at desc;
