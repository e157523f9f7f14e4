-- Rules for pairs hold for the normal form of their ids, too (normal_id): added beside what was written, since versions with
-- the ids of before may be live.

insert into pair_rule (product_id, related_product_id, action, until, reason, actor, set_at)
select form.product_id, form.related_product_id, rule.action, rule.until, rule.reason, rule.actor, rule.set_at
from pair_rule as rule
cross join lateral (
    select btrim(normalize(rule.product_id, NFC), E' \t'), btrim(normalize(rule.related_product_id, NFC), E' \t')
) as form (product_id, related_product_id)
where (form.product_id, form.related_product_id) <> (rule.product_id, rule.related_product_id)
    and form.product_id <> form.related_product_id
    and form.product_id <> ''
    and form.related_product_id <> ''
    and not exists (
        select
        from pair_rule as normal
        where normal.product_id = form.product_id and normal.related_product_id = form.related_product_id
    )
order by rule.rule_id;

comment on column ingest_ledger.clicks_of_other_days is 'Accepted rows of another day: late ones of a day before, early ones of the day after; part of accepted.';
