-- Versions of recommendations and the pointer to the live one; the metrics of each night; the ledger of ingested days.

comment on table recommendation_schema_version is 'The last migration of sql/migrations that this schema went through (kept by Alembic).';
comment on column recommendation_schema_version.version_num is 'Number of the migration file.';

create table recommendation_version (
    version_id bigint generated always as identity primary key,
    night date not null,
    recommendations_hash text not null,
    products_hash text not null,
    model_hash text not null,
    code_version text not null,
    row_count bigint not null check (row_count > 0),
    product_count bigint not null check (product_count > 0),
    status text not null default 'staged' check (status in ('staged', 'published')),
    created_at timestamptz not null default now(),
    published_at timestamptz check ((published_at is not null) = (status = 'published')),
    unique (night, recommendations_hash, products_hash)
);
comment on table recommendation_version is 'One row per published (or staged) set of recommendations; a published version never changes.';
comment on column recommendation_version.version_id is 'Names the partitions recommendation_<id> and recommended_product_<id>.';
comment on column recommendation_version.night is 'Last UTC day of clicks the version was made from.';
comment on column recommendation_version.recommendations_hash is 'SHA-256 of the artefact the rows were copied from.';
comment on column recommendation_version.products_hash is 'SHA-256 of the night''s products, whose titles the version shows.';
comment on column recommendation_version.model_hash is 'SHA-256 of the model that scored the rows; joins with metric.';
comment on column recommendation_version.code_version is 'Commit (or package version) of the code that published.';
comment on column recommendation_version.row_count is 'Rows in the partition recommendation_<id>.';
comment on column recommendation_version.product_count is 'Products that have at least one related product.';
comment on column recommendation_version.status is 'staged: being written, never read; published: complete, can be live.';
comment on column recommendation_version.created_at is 'When writing began.';
comment on column recommendation_version.published_at is 'When the version was complete; null while staged.';

create table recommendation (
    version_id bigint not null,
    product_id text not null,
    rank smallint not null check (rank >= 1),
    related_product_id text not null check (related_product_id <> product_id),
    score real not null,
    primary key (version_id, product_id, rank)
) partition by list (version_id);
comment on table recommendation is 'Related products of every version, best first; one partition per version.';
comment on column recommendation.version_id is 'recommendation_version.version_id.';
comment on column recommendation.product_id is 'The product whose page shows the related product.';
comment on column recommendation.rank is '1 is the best.';
comment on column recommendation.related_product_id is 'The product recommended there.';
comment on column recommendation.score is 'The model''s score; falls with the rank, comparable within one product only.';

create table recommended_product (
    version_id bigint not null,
    product_id text not null,
    title text not null,
    category text,
    brand text,
    primary key (version_id, product_id)
) partition by list (version_id);
comment on table recommended_product is 'The products of a version as the catalogue described them that night; one partition per version.';
comment on column recommended_product.version_id is 'recommendation_version.version_id.';
comment on column recommended_product.product_id is 'A product on either side of recommendation.';
comment on column recommended_product.title is 'Title that night.';
comment on column recommended_product.category is 'Category that night; null where the catalogue has none.';
comment on column recommended_product.brand is 'Brand that night; null where the catalogue has none.';

create table live_version (
    version_id bigint not null references recommendation_version,
    since timestamptz not null default now()
);
create unique index live_version_has_one_row on live_version ((true));
comment on table live_version is 'The pointer: one row, the version readers see. Moving it is a publish or a rollback.';
comment on column live_version.version_id is 'recommendation_version.version_id of a published version.';
comment on column live_version.since is 'When the pointer last moved.';

create table metric (
    night date not null,
    model_hash text not null,
    system text not null,
    metric text not null,
    k smallint not null check (k >= 0),
    value double precision not null,
    computed_at timestamptz not null default now(),
    primary key (night, model_hash, system, metric, k)
);
comment on table metric is 'Held-out evaluation: one row per night, model, system, metric and cut-off.';
comment on column metric.night is 'Last UTC day of the clicks; the held-out days end with it.';
comment on column metric.model_hash is 'SHA-256 of the evaluated model; joins with recommendation_version.';
comment on column metric.system is 'What was evaluated: eclare, or a baseline such as co-click.';
comment on column metric.metric is 'P, PSP, nDCG, recall, coverage (each a share from 0 to 1), or a count such as queries.';
comment on column metric.k is 'The cut-off: only the first k related products count; 0 where the metric has none.';
comment on column metric.value is 'The figure.';
comment on column metric.computed_at is 'When it was computed.';

create table ingest_ledger (
    load_id bigint generated always as identity primary key,
    day date not null,
    loaded_at timestamptz not null default now(),
    files jsonb not null,
    clicks_hash text not null,
    rows_read bigint not null check (rows_read >= 0),
    accepted bigint not null check (accepted >= 0),
    refused bigint not null check (refused >= 0),
    duplicates bigint not null check (duplicates >= 0),
    refused_by_reason jsonb not null,
    code_version text not null
);
create index ingest_ledger_by_day on ingest_ledger (day, load_id desc);
comment on table ingest_ledger is 'One row per load of a day of clicks; a reload adds a row and replaces the day''s clicks.';
comment on column ingest_ledger.load_id is 'Rises with every load; the highest of a day is the one whose clicks stand.';
comment on column ingest_ledger.day is 'UTC day of the clicks.';
comment on column ingest_ledger.loaded_at is 'When the load was recorded.';
comment on column ingest_ledger.files is 'Array of the raw files read: name, bytes, sha256.';
comment on column ingest_ledger.clicks_hash is 'SHA-256 of the cleaned clicks.';
comment on column ingest_ledger.rows_read is 'Rows in the raw files.';
comment on column ingest_ledger.accepted is 'Rows kept as cleaned clicks.';
comment on column ingest_ledger.refused is 'Rows left out because something in them was wrong.';
comment on column ingest_ledger.duplicates is 'Rows left out because the same event was there already.';
comment on column ingest_ledger.refused_by_reason is 'Object: reason -> refused rows.';
comment on column ingest_ledger.code_version is 'Commit (or package version) of the code that loaded.';
