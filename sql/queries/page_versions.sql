-- The last sixty versions, with the rules that their newest judgement failed, those that only warn, the accepted version
-- before each, and the live one.
select
    version.version_id, version.night, version.algorithm, version.status, version.product_count, version.row_count,
    version.judged_at, gate.failed, gate.warned, version.dropped_at is null as has_rows,
    case when version.dropped_at is null then version_before(version.version_id) end as version_before,
    live.version_id as live_version, live_version.night as live_night
from recommendation_version as version
left join live_version as live on true
left join recommendation_version as live_version on live_version.version_id = live.version_id
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
