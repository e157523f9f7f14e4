-- Products of a version by their id, then by what the words of their titles begin with: the most clicked first.
with found as materialized (
    -- By the index of words. Ordered here, PostgreSQL would look for words of few titles among the most clicked of all.
    select product_id, title, category, sessions
    from recommended_product
    where version_id = :version_id
        and to_tsvector('simple', title) @@ to_tsquery('simple', :beginnings)
        and product_id <> :words
    limit :few + 1
),
counted as materialized (
    select count(*) <= :few as are_all from found
)
(
    select product_id, title, category, sessions, true as is_id
    from recommended_product
    where version_id = :version_id and product_id = :words
)
union all
(
    select product_id, title, category, sessions, false as is_id
    from found
    where (select are_all from counted)
    order by sessions desc nulls last, product_id
    limit :most
)
union all
(
    -- Words of many titles are soon found among the most clicked.
    select product_id, title, category, sessions, false as is_id
    from recommended_product
    where not (select are_all from counted)
        and version_id = :version_id
        and to_tsvector('simple', title) @@ to_tsquery('simple', :beginnings)
        and product_id <> :words
    order by sessions desc nulls last, product_id
    limit :most
);
