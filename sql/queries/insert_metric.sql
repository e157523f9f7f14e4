insert into metric (night, model_hash, system, metric, k, value)
values (:night, :model_hash, :system, :metric, :k, :value);
