-- Intervals of held-out figures are clustered by session, and the live version is judged on the same days.

comment on column metric.low is 'Lower end of the 95 percent interval of the value, clustered by session (delete-a-group jackknife); null for figures without one. Nights before this revision: queries drawn again (bootstrap).';
comment on column metric.system is 'What was evaluated: eclare, a simple rival (co-click, observed - expected, cosine, popularity), or live, the version that was live then, by the lists it was evaluated by; "eclare / OTHER" is the ratio of the two, paired, for live over the queries that both were evaluated on.';
