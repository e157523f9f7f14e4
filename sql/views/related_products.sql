-- The version is written into the statement: PostgreSQL then locks one partition of each table when it plans, where it
-- would lock those of every kept version to find the live one while it runs. Both are read by one snapshot, the caller's.
create or replace function related_products(product_id text, k integer default 10)
returns table (rank smallint, related_product_id text, title text, score real, source text)
language plpgsql stable rows 10
set search_path from current
as $$
begin
    return query execute format(
        $lookup$
            select recommendation.rank, recommendation.related_product_id, related.title, recommendation.score,
                recommendation.source
            from recommendation
            join recommended_product as related
                on related.version_id = %1$L and related.product_id = recommendation.related_product_id
            where recommendation.version_id = %1$L
                and recommendation.product_id = $1
                and not exists (
                    select from blocked_product where blocked_product.product_id = recommendation.related_product_id
                )
            order by recommendation.rank
            limit $2
        $lookup$,
        (select version_id from live_version)
    ) using product_id, k;
end;
$$;

comment on function related_products(text, integer) is 'The k best related products of one product in the live version, best first, without what the newest catalogue blocks: select * from related_products(''1234'', 10).';
