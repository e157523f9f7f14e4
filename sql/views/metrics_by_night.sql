-- Grain: one row per night, system, segment, metric and k, of the model evaluated last for that night.
create or replace view metrics_by_night as
with newest_model as (
    select distinct on (night) night, model_hash
    from metric
    order by night, computed_at desc, model_hash
)
select night, system, segment, metric, k, value, model_hash, computed_at, low, high
from metric
join newest_model using (night, model_hash);

comment on view metrics_by_night is 'Held-out evaluation of each night''s newest model. One row per night, system, segment, metric and k.';
comment on column metrics_by_night.night is 'Last UTC day of the clicks; the held-out days end with it.';
comment on column metrics_by_night.system is 'What was evaluated: eclare, the night''s ranking; a simple rival (co-click, observed - expected, cosine, popularity); eclare without a group of features; eclare by rules and co-click by rules, the lists that the shop''s rules make of a ranking, as readers get them; or live, the version that was live then. "ONE / OTHER" is the ratio of the two.';
comment on column metrics_by_night.segment is 'all, head, torso or tail: see metric.segment.';
comment on column metrics_by_night.metric is 'P, PSP, nDCG, recall, lift, coverage (each a share from 0 to 1, or a ratio of two; coverage: of the catalogue, ever shown among the first k), or a count such as queries.';
comment on column metrics_by_night.k is 'The cut-off: only the first k related products count; 0 where the metric has none.';
comment on column metrics_by_night.value is 'The value of the metric.';
comment on column metrics_by_night.model_hash is 'SHA-256 of the evaluated model; joins with recommendation_version.';
comment on column metrics_by_night.computed_at is 'When it was computed.';
comment on column metrics_by_night.low is 'Lower end of the 95% interval of the value, clustered by session; null where it has none.';
comment on column metrics_by_night.high is 'Upper end of that interval.';
