-- What the page shows: prices and pictures of products, exposure, the words of titles that a mistyped one may have meant.

alter table recommended_product add column price text, add column image_url text;
comment on column recommended_product.price is 'Price that night as the catalogue writes it, with its currency; null where it has none.';
comment on column recommended_product.image_url is 'Address (http or https) of its picture that night; null where the catalogue has none.';

create table exposure (
    version_id bigint not null references recommendation_version on delete cascade,
    products bigint not null check (products >= 1),
    share_of_places double precision not null check (share_of_places between 0 and 1),
    primary key (version_id, products)
);
comment on table exposure is 'How evenly a version shows products: one row per version and number of products (1, 2, 5, 10, ..., all that are shown).';
comment on column exposure.version_id is 'recommendation_version.version_id.';
comment on column exposure.products is 'So many products, those that the first ten places of all lists show most.';
comment on column exposure.share_of_places is 'Share of these places that they hold together.';

create table title_word (
    word text primary key,
    products bigint not null check (products >= 1)
);
comment on table title_word is 'Words of titles, of the version that was stored last, without numbers: what a mistyped word may have meant.';
comment on column title_word.word is 'The word in small letters.';
comment on column title_word.products is 'How often these titles have it.';

-- Only mistyped words need it: a database without it finds all others.
do $$
begin
    create extension if not exists pg_trgm;
    create index title_word_by_trigrams on title_word using gin (word gin_trgm_ops);
exception
    when insufficient_privilege or undefined_file or feature_not_supported or undefined_object then
        raise notice 'mistyped words are not found without the extension pg_trgm: let its owner run create extension pg_trgm in this database';
end;
$$;
