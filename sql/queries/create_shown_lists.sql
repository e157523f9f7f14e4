create temporary table shown_list (
    session text, version_id bigint, channel text, product_id text, related_product_id text
) on commit drop;
