-- Grain: one row per product and rank of the live version.
create or replace view current_recommendations as
with live as (
    -- A scalar, not a join: known before the scans begin, so that they read the live partition alone.
    select version_id, night
    from recommendation_version
    where version_id = (select version_id from live_version)
)
select
    recommendation.product_id,
    product.title,
    recommendation.rank,
    recommendation.related_product_id,
    related.title as related_title,
    recommendation.score,
    recommendation.source,
    live.night,
    live.version_id
from live
join shown_recommendation as recommendation on recommendation.version_id = live.version_id
join recommended_product as product
    on product.version_id = live.version_id and product.product_id = recommendation.product_id
join recommended_product as related
    on related.version_id = live.version_id and related.product_id = recommendation.related_product_id;

comment on view current_recommendations is 'What readers see: the related products of the live version, with titles, without what the newest catalogue or a person blocks by now. One row per product and rank.';
comment on column current_recommendations.product_id is 'The product whose page shows the related product.';
comment on column current_recommendations.title is 'Its title on the version''s night.';
comment on column current_recommendations.rank is '1 is the best.';
comment on column current_recommendations.related_product_id is 'The product recommended there.';
comment on column current_recommendations.related_title is 'Its title on the version''s night.';
comment on column current_recommendations.score is 'The model''s score; falls with the rank, comparable within one product only.';
comment on column current_recommendations.source is 'co-click, model, cold, category, popular or pinned: see recommendation.source.';
comment on column current_recommendations.night is 'Last UTC day of clicks the version was made from.';
comment on column current_recommendations.version_id is 'recommendation_version.version_id of the live version.';
