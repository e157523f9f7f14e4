-- Most words stay from night to night, and only those that changed are written.
with gone as (
    delete from title_word where word not in (select word from new_word)
)
insert into title_word as known (word, products)
select word, products from new_word
on conflict (word) do update set products = excluded.products where known.products <> excluded.products;
