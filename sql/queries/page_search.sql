-- Products of a version by their id, then by what the words of their titles begin with: the most clicked first.
with asked as materialized (
    select search_query(:words, true) as query
),
clicked as materialized (
    -- Words of many titles are soon found here.
    select product_id, title, category, brand, price, sessions, words
    from recommended_product
    where version_id = :version_id
    order by sessions desc nulls last, product_id
    limit :clicked
),
first as materialized (
    select product_id, title, category, brand, price, sessions
    from clicked
    where coalesce(words, to_tsvector('simple', title)) @@ (select query from asked)
        and product_id not in (:words, normal_id(:words))
    limit :most
),
rest as materialized (
    -- Words of few titles, by their index: ordered here, PostgreSQL would try the titles one after the other.
    select product_id, title, category, brand, price, sessions
    from recommended_product
    where (select count(*) < :most from first)
        and version_id = :version_id
        and coalesce(words, to_tsvector('simple', title)) @@ (select query from asked)
        and product_id not in (:words, normal_id(:words))
)
(
    select product_id, title, category, brand, price, sessions, true as is_id
    from recommended_product
    where version_id = :version_id and product_id in (:words, normal_id(:words))
)
union all
(
    select product_id, title, category, brand, price, sessions, false as is_id
    from (table first union table rest) as found
    order by sessions desc nulls last, product_id
    limit :most
);
