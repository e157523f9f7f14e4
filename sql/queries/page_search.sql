(
    select product_id, title, category
    from recommended_product
    where version_id = (select version_id from live_version) and product_id = :words
)
union all
(
    select product_id, title, category
    from search_products(:words, 30)
    where product_id <> :words
);
