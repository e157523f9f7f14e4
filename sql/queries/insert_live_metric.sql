insert into live_metric
    (day, version_id, metric, k, earned, possible, low, high, queries, live_hours, judged_night)
values
    (:day, :version_id, :metric, :k, :earned, :possible, :low, :high, :queries, :live_hours, :judged_night)
on conflict do nothing;
