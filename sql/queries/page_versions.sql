-- The last sixty versions, with the rules that their newest judgement failed, those that only warn, and the accepted
-- version before each.
select
    version.version_id, version.night, version.algorithm, version.status, version.row_count, version.judged_at,
    gate.failed, gate.warned,
    case when version.dropped_at is null then version_before(version.version_id) end as version_before
from recommendation_version as version
left join lateral (
    select
        string_agg(verdict.rule, ', ' order by verdict.rule) filter (where verdict.level = 'stop') as failed,
        string_agg(verdict.rule, ', ' order by verdict.rule) filter (where verdict.level = 'warn') as warned
    from gate_verdict as verdict
    where verdict.version_id = version.version_id
        and not verdict.passed
        and verdict.judged_at = (select max(judged_at) from gate_verdict where version_id = version.version_id)
) as gate on true
where version.status <> 'staged'
order by version.night desc, version.version_id desc
limit 60;
