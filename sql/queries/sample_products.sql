-- Products of the live version that have a list, drawn by a seed: as many of the head, the torso, the tail and of those
-- without a session, with their first related products.
with drawn as (
    select
        product_id, segment, sessions,
        row_number() over (partition by segment order by md5(product_id || :seed), product_id) as place
    from recommended_product as product
    where version_id = (select version_id from live_version)
        and exists (
            select
            from recommendation
            where version_id = (select version_id from live_version)
                and recommendation.product_id = product.product_id
                and rank = 1
        )
)
select
    drawn.segment, drawn.sessions, shown.product_id, shown.title, shown.rank, shown.related_title, shown.source, shown.score
from drawn
join current_recommendations as shown using (product_id)
where drawn.place <= :products and shown.rank <= :related
order by array_position(array['head', 'torso', 'tail', 'cold'], drawn.segment), drawn.place, shown.rank;
