-- Intervals of held-out figures are clustered by session.

comment on column metric.low is 'Lower end of the 95 percent interval of the value, clustered by session (delete-a-group jackknife); null for figures without one. Nights before this revision: queries drawn again (bootstrap).';
