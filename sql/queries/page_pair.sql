-- One row: where a list of a version has a related product, and what a person decided about the pair that holds today.
select listed.rank, rule.action, rule.until, rule.actor, rule.reason
from (select) as asked
left join recommendation as listed
    on listed.version_id = :version_id
    and listed.product_id = normal_id(:product_id)
    and listed.related_product_id = normal_id(:related_product_id)
left join current_pair_rules as rule
    on rule.product_id = normal_id(:product_id) and rule.related_product_id = normal_id(:related_product_id);
