-- Lists now and before: of the products that are shown most often, and of as many drawn by a seed of the head, the torso,
-- the tail and those without a session (of all, for versions from before products had a segment).
with most_shown as (
    select related_product_id as product_id, count(*) as times
    from recommendation
    where version_id = :version_id
    group by related_product_id
    order by times desc, product_id
    limit :products
),
drawn as (
    select
        product_id, coalesce(segment, 'drawn') as kind,
        row_number() over (partition by segment order by md5(product_id || :seed), product_id) as place
    from recommended_product
    where version_id = :version_id and product_id not in (select product_id from most_shown)
),
sample as (
    select product_id, 'shown most' as kind, row_number() over (order by times desc, product_id) as place from most_shown
    union all
    select product_id, kind, place from drawn where place <= :products
)
select
    sample.kind, sample.product_id, product.title, product.sessions, listed.version_id = :version_id as is_now,
    listed.rank, listed.related_product_id, related.title as related_title, listed.source
from sample
join recommended_product as product on product.version_id = :version_id and product.product_id = sample.product_id
left join recommendation as listed
    on listed.version_id in (:version_id, :previous_version_id)
    and listed.product_id = sample.product_id
    and listed.rank <= :ranks
left join recommended_product as related
    on related.version_id = listed.version_id and related.product_id = listed.related_product_id
order by
    array_position(array['shown most', 'head', 'torso', 'tail', 'cold', 'drawn'], sample.kind), sample.place,
    is_now desc, listed.rank;
