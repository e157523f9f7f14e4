-- Share of the first 10 of every product in both versions that the live one lacks, and the live version's scores.
with live as (
    select product_id, related_product_id
    from recommendation
    where version_id = (select version_id from live_version) and rank <= 10
),
tonight as (
    select product_id, related_product_id
    from recommendation_{version_id}
    where rank <= 10
),
in_both as (
    select product_id from live intersect select product_id from tonight
),
kept as (
    select count(*) as rows from tonight join live using (product_id, related_product_id)
),
compared as (
    select count(*) as rows from tonight join in_both using (product_id)
),
scores as (
    select avg(score) as mean, stddev_pop(score) as deviation
    from recommendation
    where version_id = (select version_id from live_version)
),
scores_tonight as (
    select avg(score) as mean from recommendation_{version_id}
)
select
    coalesce(1 - kept.rows::float8 / nullif(compared.rows, 0), 1) as churn,
    abs(scores_tonight.mean - scores.mean)
    / greatest(scores.deviation, abs(scores.mean) / 1000, 1e-12) as score_drift  -- scores may all be the same
from kept, compared, scores, scores_tonight;
