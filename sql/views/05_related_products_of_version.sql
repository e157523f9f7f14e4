-- The version is written into the statement: PostgreSQL then locks one partition of each table when it plans, where it
-- would lock those of every kept version to find one while it runs.
create or replace function related_products_of_version(product_id text, k integer, version_id bigint)
returns table (rank smallint, related_product_id text, title text, score real, source text)
language plpgsql stable rows 10
set search_path from current
as $$
declare
    id text;
begin
    -- As it is given first: a version from before ids had a normal form may be live.
    foreach id in array array[product_id, normal_id(product_id)] loop
        return query execute format(
            $lookup$
                select recommendation.rank, recommendation.related_product_id, related.title, recommendation.score,
                    recommendation.source
                from shown_recommendation as recommendation
                join recommended_product as related
                    on related.version_id = %1$L and related.product_id = recommendation.related_product_id
                where recommendation.version_id = %1$L
                    and recommendation.product_id = $1
                order by recommendation.rank
                limit $2
            $lookup$,
            version_id
        ) using id, k;
        exit when found or id = normal_id(product_id);
    end loop;
end;
$$;

comment on function related_products_of_version(text, integer, bigint) is 'The k best related products of one product in a kept version, best first, without what the newest catalogue or a person blocks by now: select * from related_products_of_version(''1234'', 10, 5).';
