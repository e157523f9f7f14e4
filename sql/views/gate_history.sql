-- Grain: one row per version, judgement and rule.
create or replace view gate_history as
select
    version.night, verdict.version_id, version.status, verdict.judged_at, verdict.rule, verdict.passed, verdict.value,
    verdict.bound, verdict.threshold, verdict.reason, version.model_hash, verdict.level
from gate_verdict as verdict
join recommendation_version as version using (version_id);

comment on view gate_history is 'The gate''s verdicts on every version. One row per version, judgement and rule.';
comment on column gate_history.night is 'Last UTC day of clicks the version was made from.';
comment on column gate_history.version_id is 'recommendation_version.version_id.';
comment on column gate_history.status is 'What became of the version: rejected, live, retired or withdrawn.';
comment on column gate_history.judged_at is 'When; all verdicts of a judgement share it.';
comment on column gate_history.rule is 'Name of the rule.';
comment on column gate_history.passed is 'Whether the value was within the threshold.';
comment on column gate_history.value is 'The figure judged; null where there was nothing to compare with.';
comment on column gate_history.bound is 'Whether the value must be at least or at most the threshold.';
comment on column gate_history.threshold is 'The threshold then.';
comment on column gate_history.reason is 'One sentence.';
comment on column gate_history.model_hash is 'SHA-256 of the model; joins with metrics_by_night.';
comment on column gate_history.level is 'stop: the version is refused where the rule fails; warn: somebody should look.';
