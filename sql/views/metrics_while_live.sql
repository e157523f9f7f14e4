-- Grain: one row per judged day, metric and k.
create or replace view metrics_while_live as
select
    judged.day,
    version.night,
    judged.version_id,
    judged.metric,
    judged.k,
    judged.value,
    judged.low,
    judged.high,
    judged.queries,
    sum(judged.earned) over last_week / sum(judged.possible) over last_week as value_of_7_days,
    sum(judged.queries) over last_week as queries_of_7_days,
    judged.live_hours,
    judged.judged_at
from live_metric as judged
join recommendation_version as version using (version_id)
window last_week as (
    partition by judged.metric, judged.k order by judged.day range between interval '6 days' preceding and current row
);

comment on view metrics_while_live is 'What the lists that readers saw were worth on the day that they saw them. One row per judged day, metric and k.';
comment on column metrics_while_live.day is 'UTC day whose clicks say what was right.';
comment on column metrics_while_live.night is 'Night of the version that was live for most of that day; before the day, so it knew none of its clicks.';
comment on column metrics_while_live.version_id is 'recommendation_version.version_id of that version.';
comment on column metrics_while_live.metric is 'P, PSP, nDCG, lift (each a share from 0 to 1), or listed: the share of judged queries that had a list.';
comment on column metrics_while_live.k is 'The cut-off: only the first k related products count; 0 where the metric has none.';
comment on column metrics_while_live.value is 'The figure of the day.';
comment on column metrics_while_live.low is 'Lower end of its 95% interval, queries drawn again.';
comment on column metrics_while_live.high is 'Upper end of that interval.';
comment on column metrics_while_live.queries is 'Query products that were judged: those that shared a session with another one MIN_SUPPORT times or more that day.';
comment on column metrics_while_live.value_of_7_days is 'The figure over this day and the judged ones of the six before it, each with the version that was live then.';
comment on column metrics_while_live.queries_of_7_days is 'Judged queries of these days; a product counts once a day.';
comment on column metrics_while_live.live_hours is 'Hours of the day on which the version was live.';
comment on column metrics_while_live.judged_at is 'When the day was judged last: late clicks are judged by the nights after.';
