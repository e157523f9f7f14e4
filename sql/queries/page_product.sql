select
    shown.product_id, shown.title, shown.rank, shown.related_product_id, shown.related_title, shown.score, shown.source,
    shown.night, why.reason, why.sessions is not null or shown.source in ('cold', 'category', 'popular') as is_explained
from current_recommendations as shown
cross join lateral explain_recommendation(shown.product_id, shown.related_product_id) as why
where shown.product_id = :product_id and shown.rank <= :k
order by shown.rank;
