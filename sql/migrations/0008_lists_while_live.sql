-- What published lists were worth on the days that they were live; how much was known of each product.

create table live_metric (
    day date not null,
    version_id bigint not null references recommendation_version,
    metric text not null,
    k smallint not null check (k >= 0),
    earned double precision not null check (earned >= 0),
    possible double precision not null check (possible > 0),
    value double precision not null generated always as (earned / possible) stored,
    low double precision not null,
    high double precision not null check (low <= high),
    queries integer not null check (queries > 0),
    live_hours real not null,
    judged_night date not null check (judged_night >= day),
    judged_at timestamptz not null default now(),
    primary key (day, metric, k)
);
comment on table live_metric is 'Published lists judged on the days that they were live: one row per day, metric and cut-off.';
comment on column live_metric.day is 'UTC day whose clicks say what was right.';
comment on column live_metric.version_id is 'recommendation_version.version_id of the version that was live for most of the day.';
comment on column live_metric.metric is 'P, PSP, nDCG or lift, over queries that shared a session with another product MIN_SUPPORT times or more that day; listed: the share of these queries that had a list.';
comment on column live_metric.k is 'The cut-off: only the first k related products count; 0 where the metric has none.';
comment on column live_metric.earned is 'What the queries earned, added up.';
comment on column live_metric.possible is 'What they could have earned. Sums of both over several days give the figure of these days.';
comment on column live_metric.value is 'earned / possible.';
comment on column live_metric.low is 'Lower end of the 95 percent interval of the value, queries drawn again (bootstrap).';
comment on column live_metric.high is 'Upper end of that interval.';
comment on column live_metric.queries is 'Query products that were judged.';
comment on column live_metric.live_hours is 'Hours of the day on which the version was live, more than 12.';
comment on column live_metric.judged_night is 'The night whose report judged the day last; a night before it changes nothing.';
comment on column live_metric.judged_at is 'When.';

-- No constraint: it would be checked on every row of every version.
alter table recommended_product add column sessions integer, add column segment text;
comment on column recommended_product.sessions is 'Sessions of the night''s window that held it; null for versions from before.';
comment on column recommended_product.segment is 'head, torso or tail: products with a third of these sessions each, the most popular first; cold: no session. Null for versions from before.';
