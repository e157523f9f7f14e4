-- What made a version's lists; one word for the share of products that have a list.

alter table recommendation_version add column algorithm text not null default 'eclare' check (algorithm <> '');
comment on column recommendation_version.algorithm is 'What ranked its products: eclare, or co-click, the baseline that needs no training.';

update gate_verdict set rule = 'listed' where rule = 'coverage';

comment on column metric.system is 'What was evaluated: eclare, the night''s ranking; a simple rival (co-click, observed - expected, cosine, popularity); eclare without a group of features; eclare by rules and co-click by rules, the lists that the shop''s rules make of a ranking, as readers get them; or live, the version that was live then. "ONE / OTHER" is the ratio of the two.';
comment on column metric.metric is 'P, PSP, nDCG, recall, lift, coverage (each a share from 0 to 1, or a ratio of two; coverage: of the catalogue, ever shown among the first k), or a count such as queries.';
