-- The newest judgement of a version: failed rules first.
select rule, passed, value, bound, threshold, reason
from gate_verdict
where version_id = :version_id
    and judged_at = (select max(judged_at) from gate_verdict where version_id = :version_id)
order by passed, rule;
