-- Held-out figures of queries by their history, beside those of related products by their popularity.

alter table metric drop constraint metric_segment_check;
alter table metric add constraint metric_segment_check check (
    segment in (
        'all', 'head', 'torso', 'tail', 'no session', '1 to 4 sessions', '5 to 19 sessions', '20 sessions and more'
    )
);
comment on column metric.segment is 'all; or only hits on related products of the head, torso or tail: a third of the training clicks each, most clicked first; or only queries that so many sessions held before the held-out days.';
