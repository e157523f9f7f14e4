create temporary table clicked_product (product_id text, sessions bigint) on commit drop;
