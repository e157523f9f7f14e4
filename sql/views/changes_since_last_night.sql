-- Grain: one row per product and related product that only one of the two versions has, or at another rank.
create or replace view changes_since_last_night as
with now as (
    -- Scalars, not joins: known before the scans begin, so that they read two partitions alone.
    select product_id, related_product_id, rank
    from recommendation
    where version_id = (select version_id from live_version)
),
before as (
    select product_id, related_product_id, rank
    from recommendation
    where version_id = (select version_before_live())
),
changed as (
    select
        product_id, related_product_id, now.rank, before.rank as rank_before,
        case when before.rank is null then 'new' when now.rank is null then 'gone' else 'moved' end as change
    from now
    full join before using (product_id, related_product_id)
    where now.rank is distinct from before.rank
),
titled as (
    select product_id, title from recommended_product where version_id = (select version_id from live_version)
    union all
    select product_id, title
    from recommended_product as former
    where version_id = (select version_before_live())
        and not exists (
            select
            from recommended_product as present
            where present.version_id = (select version_id from live_version)
                and present.product_id = former.product_id
        )
)
select
    changed.product_id, product.title, changed.related_product_id, related.title as related_title, changed.rank,
    changed.rank_before, changed.change
from changed
left join titled as product on product.product_id = changed.product_id
left join titled as related on related.product_id = changed.related_product_id
where (select version_before_live()) is not null;

comment on view changes_since_last_night is 'The live version against the accepted one before it (by night). No row where there is none.';
comment on column changes_since_last_night.product_id is 'The product whose page shows the related product.';
comment on column changes_since_last_night.title is 'Its title, the newer one of both nights.';
comment on column changes_since_last_night.related_product_id is 'The product recommended there now, or before.';
comment on column changes_since_last_night.related_title is 'Its title, the newer one of both nights.';
comment on column changes_since_last_night.rank is 'Rank now; null where it is gone.';
comment on column changes_since_last_night.rank_before is 'Rank in the version before; null where it is new.';
comment on column changes_since_last_night.change is 'new, gone or moved.';
