select product_id, title, category, brand, price, sessions
from recommended_product
where version_id = :version_id
order by sessions desc nulls last, product_id
limit :pages;
