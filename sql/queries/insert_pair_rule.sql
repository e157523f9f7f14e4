insert into pair_rule (product_id, related_product_id, action, until, reason, actor)
values (:product_id, :related_product_id, :action, :until, :reason, :actor);
