create or replace function related_products(product_id text, k integer, channel text)
returns table (rank smallint, related_product_id text, title text, score real, source text, version_id bigint)
language sql stable
begin atomic
    -- A scalar, not a join: known before the scans begin, so that they read one partition alone.
    select recommendation.rank, recommendation.related_product_id, related.title, recommendation.score,
        recommendation.source, recommendation.version_id
    from recommendation
    join recommended_product as related
        on related.version_id = recommendation.version_id and related.product_id = recommendation.related_product_id
    where recommendation.version_id = (select version_of_channel(channel))
        and recommendation.product_id = related_products.product_id
        and not exists (
            select from blocked_product where blocked_product.product_id = recommendation.related_product_id
        )
    order by recommendation.rank
    limit k;
end;

comment on function related_products(text, integer, text) is 'The k best related products of one product on a channel, with the version that a shop logs: select * from related_products(''1234'', 10, channel_of(''session 5'')).';
