-- A catalogue may be delivered in several files, and rows are refused for more reasons than they were.

comment on column catalogue_load.file_name is 'Name of the delivered file, or of the folder of several.';
comment on column catalogue_load.file_hash is 'SHA-256 of the delivered file; of several, of their names and hashes.';
comment on column catalogue_load.refused is 'Rows left out; refused_products.parquet beside the stored products says why.';
