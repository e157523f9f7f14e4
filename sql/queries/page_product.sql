-- One row: a product of a version. No row where the version does not know it.
select product_id, title, category, brand, price, image_url, sessions, segment
from recommended_product
where version_id = :version_id and product_id in (:product_id, normal_id(:product_id))
order by product_id = :product_id desc
limit 1;
