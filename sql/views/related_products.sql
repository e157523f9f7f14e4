-- Which version is live is read by the same snapshot as its rows: the caller's.
create or replace function related_products(product_id text, k integer default 10)
returns table (rank smallint, related_product_id text, title text, score real, source text)
language sql stable
begin atomic
    select rank, related_product_id, title, score, source
    from related_products_of_version(product_id, k, (select version_id from live_version))
    order by rank;
end;

comment on function related_products(text, integer) is 'The k best related products of one product in the live version, best first, without what the newest catalogue or a person blocks by now: select * from related_products(''1234'', 10).';
