-- Grain: one row per version whose rows are kept, product and related product.
create or replace view pair_history as
select
    recommendation.product_id,
    recommendation.related_product_id,
    version.night,
    recommendation.rank,
    recommendation.score,
    recommendation.source,
    version.status,
    version.version_id
from recommendation_version as version
join recommendation on recommendation.version_id = version.version_id
where version.status <> 'staged';

comment on view pair_history is 'A product and a related product over the nights; filter by both ids, or at least the first, or every version is scanned.';
comment on column pair_history.product_id is 'The product whose page shows the related product.';
comment on column pair_history.related_product_id is 'The product recommended there.';
comment on column pair_history.night is 'Last UTC day of clicks the version was made from.';
comment on column pair_history.rank is '1 is the best.';
comment on column pair_history.score is 'The model''s score that night; nights are different models, so compare ranks.';
comment on column pair_history.source is 'co-click, model, cold, category, popular or pinned: see recommendation.source.';
comment on column pair_history.status is 'rejected: never shown; live; retired: passed the gate, not live now; withdrawn: a person took it away.';
comment on column pair_history.version_id is 'recommendation_version.version_id.';
