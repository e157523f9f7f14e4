alter table recommendation_{version_id} add primary key (version_id, product_id, rank);
alter table recommended_product_{version_id} add primary key (version_id, product_id);
alter table recommendation_reason_{version_id} add primary key (version_id, product_id, related_product_id);
create index on recommended_product_{version_id} using gin (coalesce(words, to_tsvector('simple', title)));
create index on recommended_product_{version_id} (sessions desc nulls last, product_id);
-- The first ten places alone, which shoppers see: which pages show a product.
create index on recommendation_{version_id} (related_product_id) where rank <= 10;
analyze recommendation_{version_id}, recommended_product_{version_id}, recommendation_reason_{version_id};
