-- What people decided about pairs, the newest first, with titles of the live version.
select
    rule.rule_id, rule.product_id, page.title, rule.related_product_id, related.title as related_title, rule.action,
    rule.until, rule.reason, rule.actor, rule.set_at, current.rule_id is not null as holds
from pair_rule as rule
left join current_pair_rules as current on current.rule_id = rule.rule_id
left join recommended_product as page
    on page.version_id = :version_id and page.product_id = rule.product_id
left join recommended_product as related
    on related.version_id = :version_id and related.product_id = rule.related_product_id
order by rule.rule_id desc
limit :rules;
