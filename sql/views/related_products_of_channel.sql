create or replace function related_products(product_id text, k integer, channel text)
returns table (rank smallint, related_product_id text, title text, score real, source text, version_id bigint)
language sql stable
begin atomic
    select listed.rank, listed.related_product_id, listed.title, listed.score, listed.source, shown.version_id
    from (select version_of_channel(channel)) as shown (version_id),
        related_products_of_version(product_id, k, shown.version_id) as listed
    order by listed.rank;
end;

comment on function related_products(text, integer, text) is 'The k best related products of one product on a channel, best first, without what the newest catalogue or a person blocks by now, with the version that a shop logs: select * from related_products(''1234'', 10, channel_of(''session 5'')).';
