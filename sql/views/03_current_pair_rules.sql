-- Grain: one row per pair that a rule holds for.
create or replace view current_pair_rules as
select rule_id, product_id, related_product_id, action, until, reason, actor, set_at
from pair_rule as rule
where rule.action <> 'none'
    and (rule.until is null or rule.until >= (now() at time zone 'UTC')::date)
    and not exists (
        select
        from pair_rule as later
        where later.product_id = rule.product_id
            and later.related_product_id = rule.related_product_id
            and later.rule_id > rule.rule_id
    );

comment on view current_pair_rules is 'Pairs that are pinned or blocked today. One row per pair, without rules that have expired or were lifted.';
comment on column current_pair_rules.rule_id is 'pair_rule.rule_id.';
comment on column current_pair_rules.product_id is 'The product of the page.';
comment on column current_pair_rules.related_product_id is 'The related product.';
comment on column current_pair_rules.action is 'pin: it comes first, in versions made since; block: readers do not see it, whatever the version.';
comment on column current_pair_rules.until is 'Last UTC day on which it holds; null: for good.';
comment on column current_pair_rules.reason is 'Why, in the words of who decided.';
comment on column current_pair_rules.actor is 'Who decided.';
comment on column current_pair_rules.set_at is 'When.';
