-- The products that are recommended most often, one a category, with their own first related products.
with shown as (
    select related_product_id as product_id, count(*) as times
    from recommendation
    where version_id = (select version_id from live_version)
    group by related_product_id
),
foremost_of_category as (
    select distinct on (product.category) product.product_id, shown.times
    from shown
    join recommended_product as product
        on product.version_id = (select version_id from live_version) and product.product_id = shown.product_id
    order by product.category, shown.times desc, product.product_id
),
sample as (
    select product_id, times
    from foremost_of_category
    order by times desc, product_id
    limit :products
)
select
    current_recommendations.product_id,
    current_recommendations.title,
    current_recommendations.rank,
    current_recommendations.related_title,
    current_recommendations.score
from sample
join current_recommendations using (product_id)
where current_recommendations.rank <= :related
order by sample.times desc, current_recommendations.product_id, current_recommendations.rank;
