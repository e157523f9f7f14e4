insert into gate_verdict (version_id, judged_at, rule, passed, value, bound, threshold, reason, level)
values (:version_id, now(), :rule, :passed, :value, :bound, :threshold, :reason, :level);
