-- The list of a product in any version, as it was published, with what its scores are made of.
select
    listed.rank, listed.related_product_id as product_id, related.title, related.category, related.brand, related.price,
    related.image_url, related.sessions as own_sessions, listed.score, listed.source, why.sessions, why.last_day,
    why.score_co_clicks, why.score_popularity, why.score_like_products, why.score_titles, why.score_model, why.score_base,
    why.score_rules,
    blocked.product_id is not null as is_blocked, rule.action, rule.reason, rule.actor, rule.until
from recommendation as listed
join recommended_product as related
    on related.version_id = listed.version_id and related.product_id = listed.related_product_id
left join recommendation_reason as why
    on why.version_id = listed.version_id
    and why.product_id = listed.product_id
    and why.related_product_id = listed.related_product_id
left join blocked_product as blocked on blocked.product_id = listed.related_product_id
left join current_pair_rules as rule
    on rule.product_id = listed.product_id and rule.related_product_id = listed.related_product_id
where listed.version_id = :version_id and listed.product_id = :product_id
order by listed.rank;
