-- Products of a version by their id, then by what the words of their titles begin with: the most clicked first.
(
    select product_id, title, category, sessions, true as is_id
    from recommended_product
    where version_id = :version_id and product_id = :words
)
union all
(
    select product_id, title, category, sessions, false as is_id
    from recommended_product
    where version_id = :version_id
        and to_tsvector('simple', title) @@ to_tsquery('simple', :beginnings)
        and product_id <> :words
    order by sessions desc nulls last, product_id
    limit :most
);
