-- Share of the first 10 of every product in both versions that the live one lacks, and their rank-biased overlap.
-- Rank-biased overlap (Webber, Moffat, Zobel, TOIS 2010, p = 0.9), cut at 10: lists agree at depth d by the share of
-- their first d that is in both, and the first depths weigh most. A product in both lists adds p^(d-1) / d at every
-- depth from its lower rank on; over all that the lists would have if they were the same.
with weight as (
    select array_agg(rest order by rank) as from_rank
    from (
        select rank, sum(0.9::float8 ^ (rank - 1) / rank) over (order by rank desc) as rest
        from generate_series(1, 10) as rank
    ) as depths
),
live as not materialized (  -- each use reads its own columns and ranks alone
    select product_id, related_product_id, rank
    from recommendation
    where version_id = (select version_id from live_version)
),
tonight as not materialized (
    select product_id, related_product_id, rank from recommendation_{version_id}
),
kept as (
    select count(*) as rows, coalesce(sum(weight.from_rank[greatest(tonight.rank, live.rank)]), 0) as weight
    from tonight
    join live using (product_id, related_product_id)
    cross join weight
    where tonight.rank <= 10 and live.rank <= 10
),
compared as (  -- every list has a first rank
    select count(*) as rows, sum(weight.from_rank[tonight.rank]) as weight
    from tonight
    join live using (product_id)
    cross join weight
    where tonight.rank <= 10 and live.rank = 1
),
compared_live as (
    select sum(weight.from_rank[live.rank]) as weight
    from live
    join tonight using (product_id)
    cross join weight
    where live.rank <= 10 and tonight.rank = 1
)
select
    coalesce(1 - kept.rows::float8 / nullif(compared.rows, 0), 1) as churn,
    coalesce(2 * kept.weight / (compared.weight + compared_live.weight), 0)::float8 as rank_biased_overlap
from kept, compared, compared_live;
