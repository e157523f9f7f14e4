-- A version's lists as readers see them, one after the other, best first.
copy (
    select listed.product_id, listed.rank, listed.related_product_id, related.title as related_title, listed.score,
        listed.source
    from shown_recommendation as listed
    join recommended_product as related
        on related.version_id = listed.version_id and related.product_id = listed.related_product_id
    where listed.version_id = {version_id}
    order by listed.product_id, listed.rank
) to stdout (format csv, header)
