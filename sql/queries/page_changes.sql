-- Ranks of the first ten at which the later version has another product than the one before, by product.
with changed as (
    select
        later.product_id, later.rank, later.related_product_id as related_after,
        earlier.related_product_id as related_before
    from recommendation as later
    left join recommendation as earlier
        on earlier.version_id = :before and earlier.product_id = later.product_id and earlier.rank = later.rank
    where later.version_id = :after
        and later.rank <= 10
        and earlier.related_product_id is distinct from later.related_product_id
        and exists (select from recommendation where version_id = :before)
    order by later.product_id, later.rank
    limit :places
)
select
    changed.product_id, product.title, changed.rank, changed.related_before, former.title as title_before,
    changed.related_after, latter.title as title_after
from changed
left join recommended_product as product on product.version_id = :after and product.product_id = changed.product_id
left join recommended_product as former
    on former.version_id = :before and former.product_id = changed.related_before
left join recommended_product as latter on latter.version_id = :after and latter.product_id = changed.related_after
order by changed.product_id, changed.rank;
