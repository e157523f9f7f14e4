-- What readers may see of any version: all that hides a row from them stands here. Grain: one row per version, product and rank.
create or replace view shown_recommendation as
select listed.version_id, listed.product_id, listed.rank, listed.related_product_id, listed.score, listed.source
from recommendation as listed
where not exists (select from blocked_product where blocked_product.product_id = listed.related_product_id)
    and not exists (
        select from current_pair_rules as rule
        where rule.action = 'block'
            and rule.product_id = listed.product_id
            and rule.related_product_id = listed.related_product_id
    );

comment on view shown_recommendation is 'The recommendations of every kept version, without what the newest catalogue blocks and what people block. One row per version, product and rank.';
comment on column shown_recommendation.version_id is 'recommendation_version.version_id.';
comment on column shown_recommendation.product_id is 'The product whose page shows the related product.';
comment on column shown_recommendation.rank is '1 is the best; what is hidden leaves a gap.';
comment on column shown_recommendation.related_product_id is 'The product recommended there.';
comment on column shown_recommendation.score is 'The model''s score; falls with the rank, comparable within one product only.';
comment on column shown_recommendation.source is 'co-click, model, cold, category, popular or pinned: see recommendation.source.';
