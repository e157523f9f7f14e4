-- What merchandisers pin to a list or keep out of it.

create table pair_rule (
    rule_id bigint generated always as identity primary key,
    product_id text not null check (product_id <> ''),
    related_product_id text not null check (related_product_id <> '' and related_product_id <> product_id),
    action text not null check (action in ('pin', 'block', 'none')),
    until date,
    reason text not null check (reason <> ''),
    actor text not null default session_user check (actor <> ''),
    set_at timestamptz not null default clock_timestamp()
);
create index pair_rule_by_pair on pair_rule (product_id, related_product_id, rule_id desc);
comment on table pair_rule is 'What people decided about a related product on a page. Rows are added and never changed: the newest one of a pair holds (view current_pair_rules), the others say what held before.';
comment on column pair_rule.rule_id is 'Rises with every rule.';
comment on column pair_rule.product_id is 'The product of the page.';
comment on column pair_rule.related_product_id is 'The related product.';
comment on column pair_rule.action is 'pin: it comes first, from the next night on; block: it is not shown, from now on; none: what was decided before holds no longer.';
comment on column pair_rule.until is 'Last UTC day on which it holds; null: for good.';
comment on column pair_rule.reason is 'Why, in the words of who decided.';
comment on column pair_rule.actor is 'Who decided.';
comment on column pair_rule.set_at is 'When.';

-- Not checked on rows that are there: they have a source of before.
alter table recommendation drop constraint recommendation_source_check;
alter table recommendation add constraint recommendation_source_check
    check (source in ('model', 'co-click', 'cold', 'category', 'popular', 'pinned')) not valid;
comment on column recommendation.source is 'co-click: both were met in one session of the window; model: found without; cold: from the title of a product without clicks; category, popular: what fills up a list; pinned: a person put it there (pair_rule).';
