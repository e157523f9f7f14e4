-- The version is written into the statement: see related_products_of_version.
create or replace function search_products(query text, k integer default 20)
returns table (product_id text, title text, category text, brand text, relevance real)
language plpgsql stable rows 20
set search_path from current
as $$
declare
    lookup constant text := format(
        $lookup$
            with matching as materialized (
                -- Each partition has an index of this expression (sql/queries/index_partitions.sql). The limit
                -- comes before the ranking, since a word may be in every title.
                select product.product_id, product.title, product.category, product.brand, product.words
                from recommended_product as product
                where product.version_id = %L
                    and coalesce(product.words, to_tsvector('simple', product.title)) @@ $1
                limit 1000
            )
            select
                matching.product_id, matching.title, matching.category, matching.brand,
                ts_rank(coalesce(matching.words, to_tsvector('simple', matching.title)), $1) as relevance
            from matching
            order by relevance desc, matching.product_id
            limit $2
        $lookup$,
        (select version_id from live_version)
    );
begin
    return query execute lookup using search_query(query), k;
    if not found then
        return query execute lookup using search_query(query, true), k;
    end if;
end;
$$;

comment on function search_products(text, integer) is 'Products of the live version by words of their title in any script, as typed into a search box ("quoted phrase", -without, or), accents or not, else by how words begin; the best of the first thousand found: select * from search_products(''red mug'').';
