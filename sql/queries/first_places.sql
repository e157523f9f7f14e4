-- The first k places of a version's lists of the given products.
select product_id, rank, related_product_id
from recommendation
where version_id = :version_id and product_id = any(:product_ids) and rank <= :k;
