-- Places of a version's first ten that readers will not see, since the newest catalogue blocks the product or a person the pair.
with hidden as (
    (
        select listed.product_id, listed.rank, listed.related_product_id, 'blocked by the catalogue' as why
        from blocked_product as blocked
        join recommendation as listed
            on listed.version_id = :version_id and listed.related_product_id = blocked.product_id and listed.rank <= 10
        limit :most
    )
    union all
    (
        select listed.product_id, listed.rank, listed.related_product_id, 'pair blocked by ' || rule.actor
        from current_pair_rules as rule
        join recommendation as listed
            on listed.version_id = :version_id
            and listed.product_id = rule.product_id
            and listed.related_product_id = rule.related_product_id
            and listed.rank <= 10
        where rule.action = 'block'
        limit :most
    )
)
select hidden.product_id, page.title, hidden.rank, hidden.related_product_id, related.title as related_title, hidden.why
from hidden
join recommended_product as page on page.version_id = :version_id and page.product_id = hidden.product_id
join recommended_product as related
    on related.version_id = :version_id and related.product_id = hidden.related_product_id;
