-- Pages that show a product among their first ten, those looked at most first; of the first pages found where there are many.
with found as (
    select product_id, rank
    from recommendation
    where version_id = :version_id and related_product_id = :product_id and rank <= 10
    limit :most
)
select found.product_id, found.rank, page.title, page.category, page.brand, page.price, page.sessions, count(*) over () as pages
from found
join recommended_product as page on page.version_id = :version_id and page.product_id = found.product_id
order by page.sessions desc nulls last, found.product_id
limit :shown;
