-- Number of rows: one row per table.
select 'recommendation, live version' as name, count(*) as rows
from recommendation
where version_id = (select version_id from live_version)
union all
select 'recommended_product, live version', count(*)
from recommended_product
where version_id = (select version_id from live_version)
union all
select 'recommendation_version', count(*) from recommendation_version
union all
select 'metric', count(*) from metric
union all
select 'daily_aggregate', count(*) from daily_aggregate
union all
select 'ingest_health, days', count(*) from ingest_health
union all
select 'ingest_health, clicks accepted', coalesce(sum(accepted), 0)::bigint from ingest_health;
