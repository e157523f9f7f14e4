-- Titles of some products, of either version, with what tells those of one title apart.
select distinct on (product_id) product_id, title, category, brand, price
from recommended_product
where version_id in (:version_id, :beside) and product_id = any(:product_ids)
order by product_id, version_id = :version_id desc;
