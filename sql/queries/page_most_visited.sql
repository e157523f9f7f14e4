select product_id, title, sessions
from recommended_product
where version_id = :version_id
order by sessions desc nulls last, product_id
limit :pages;
