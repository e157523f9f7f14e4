-- Words of titles in any language, as the publisher cuts them: to_tsvector knows no word of a script without blanks.

alter table recommended_product add column words tsvector;
comment on column recommended_product.words is 'Words of the title for search_query: folded, without accents; of scripts without blanks each letter with the next. Null for versions from before.';

-- Versions from before are searched by the words that PostgreSQL finds in their titles, at the same expression.
do $$
declare
    part regclass;
begin
    for part in select inhrelid from pg_inherits where inhparent = 'recommended_product'::regclass loop
        execute 'create index on ' || part || ' using gin (coalesce(words, to_tsvector(''simple'', title)))';
    end loop;
end;
$$;
