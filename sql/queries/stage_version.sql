insert into recommendation_version (
    night, algorithm, recommendations_hash, products_hash, model_hash, interactions_hash, config_hash, model_code_version,
    code_version, row_count, product_count, catalogue_count
)
values (
    :night, :algorithm, :recommendations_hash, :products_hash, :model_hash, :interactions_hash, :config_hash, :model_code_version,
    :code_version, :row_count, :product_count, :catalogue_count
)
returning version_id;
