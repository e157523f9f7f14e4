-- Every held-out figure with the interval that chance leaves it, and ratios of two systems beside their figures.

alter table metric add column low double precision;
alter table metric add column high double precision;
alter table metric add check (low <= high);
comment on column metric.low is 'Lower end of the 95 percent interval of the value, queries drawn again (bootstrap); null for figures that were not resampled, and from before.';
comment on column metric.high is 'Upper end of that interval.';
comment on column metric.system is 'What was evaluated: eclare or a simple rival (co-click, observed - expected, cosine, popularity); "eclare / RIVAL" is the ratio of the two, paired.';
comment on column metric.metric is 'P, PSP, nDCG, recall, lift, coverage (each a share from 0 to 1, or a ratio of two), or a count such as queries.';
