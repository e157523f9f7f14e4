create or replace function related_products(product_id text, k integer default 10)
returns table (rank smallint, related_product_id text, title text, score real, source text)
language sql stable
begin atomic
    -- A scalar, not a join: known before the scans begin, so that they read the live partition alone.
    select recommendation.rank, recommendation.related_product_id, related.title, recommendation.score,
        recommendation.source
    from recommendation
    join recommended_product as related
        on related.version_id = recommendation.version_id and related.product_id = recommendation.related_product_id
    where recommendation.version_id = (select version_id from live_version)
        and recommendation.product_id = related_products.product_id
        and not exists (
            select from blocked_product where blocked_product.product_id = recommendation.related_product_id
        )
        and not exists (
            select from current_pair_rules as rule
            where rule.action = 'block'
                and rule.product_id = recommendation.product_id
                and rule.related_product_id = recommendation.related_product_id
        )
    order by recommendation.rank
    limit k;
end;

comment on function related_products(text, integer) is 'The k best related products of one product in the live version, best first, without what the newest catalogue blocks: select * from related_products(''1234'', 10).';
