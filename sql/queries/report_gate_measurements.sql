-- What the gate measured of every night up to this one, as judged last.
select distinct on (night, rule) night, rule, value
from gate_history
where rule in ('listed', 'shown', 'most_shown', 'ten_most_shown', 'churn')
    and value is not null
    and night between cast(:night as date) - :days and cast(:night as date)
order by night, rule, judged_at desc;
