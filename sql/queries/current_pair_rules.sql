select product_id, related_product_id, action
from current_pair_rules
order by rule_id;
