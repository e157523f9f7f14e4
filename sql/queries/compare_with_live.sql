-- Share of the first 10 of every product in both versions that the live one lacks, and the live version's scores.
with live as not materialized (  -- each use reads its own columns and ranks alone
    select product_id, related_product_id, rank, score
    from recommendation
    where version_id = (select version_id from live_version)
),
tonight as not materialized (
    select product_id, related_product_id, rank, score from recommendation_{version_id}
),
kept as (
    select count(*) as rows
    from tonight
    join live using (product_id, related_product_id)
    where tonight.rank <= 10 and live.rank <= 10
),
compared as (  -- every list has a first rank
    select count(*) as rows
    from tonight
    join live using (product_id)
    where tonight.rank <= 10 and live.rank = 1
),
scores as (
    select avg(score) as mean, stddev_pop(score) as deviation from live
),
scores_tonight as (
    select avg(score) as mean from tonight
)
select
    coalesce(1 - kept.rows::float8 / nullif(compared.rows, 0), 1) as churn,
    abs(scores_tonight.mean - scores.mean)
    / greatest(scores.deviation, abs(scores.mean) / 1000, 1e-12) as score_drift  -- scores may all be the same
from kept, compared, scores, scores_tonight;
