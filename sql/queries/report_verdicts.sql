-- The newest judgement of a version: failed rules first, those that stop it before those that warn.
select rule, passed, value, bound, threshold, reason, level
from gate_verdict
where version_id = :version_id
    and judged_at = (select max(judged_at) from gate_verdict where version_id = :version_id)
order by passed, level, rule;
