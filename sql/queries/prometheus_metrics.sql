select
    staleness.age_hours as live_version_age_hours,
    staleness.night_ended_hours as live_night_ended_hours,
    version.row_count as live_rows,
    version.product_count as live_products,
    (
        select value
        from gate_history
        where version_id = staleness.version_id and rule = 'listed'
        order by judged_at desc
        limit 1
    ) as live_listed,
    (
        select count(*)
        from gate_verdict as verdict
        where verdict.version_id = staleness.version_id
            and verdict.level = 'warn'
            and not verdict.passed
            and verdict.judged_at = (select max(judged_at) from gate_verdict where version_id = staleness.version_id)
    ) as live_warnings,
    (
        select count(*)
        from recommendation_version
        where status = 'rejected' and judged_at > now() - interval '7 days'
    ) as rejected_versions,
    (now() at time zone 'UTC')::date - newest.day as ingested_day_age_days,
    newest.quarantined_percent / 100 as refused_share
from staleness
left join recommendation_version as version using (version_id)
left join lateral (select day, quarantined_percent from ingest_health order by day desc limit 1) as newest on true;
