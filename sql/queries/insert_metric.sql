insert into metric (night, model_hash, system, segment, metric, k, value)
values (:night, :model_hash, :system, :segment, :metric, :k, :value);
