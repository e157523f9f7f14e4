-- Lists now and before: of the products that are shown most often, and of as many drawn by the night.
with most_shown as (
    select related_product_id as product_id, count(*) as times
    from recommendation
    where version_id = :version_id
    group by related_product_id
    order by times desc, product_id
    limit :products
),
drawn as (
    select product_id, 0 as times
    from recommended_product
    where version_id = :version_id and product_id not in (select product_id from most_shown)
    order by md5(product_id || cast(:version_id as text)), product_id
    limit :products
),
sample as (
    select product_id, times from most_shown
    union all
    select product_id, times from drawn
)
select
    sample.product_id, product.title, listed.version_id = :version_id as is_now, listed.rank,
    listed.related_product_id, related.title as related_title, listed.source
from sample
join recommended_product as product on product.version_id = :version_id and product.product_id = sample.product_id
left join recommendation as listed
    on listed.version_id in (:version_id, :previous_version_id)
    and listed.product_id = sample.product_id
    and listed.rank <= :ranks
left join recommended_product as related
    on related.version_id = listed.version_id and related.product_id = listed.related_product_id
order by sample.times desc, sample.product_id, is_now desc, listed.rank;
