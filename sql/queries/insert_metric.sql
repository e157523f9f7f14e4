insert into metric (night, model_hash, system, segment, metric, k, value, low, high)
values (:night, :model_hash, :system, :segment, :metric, :k, :value, :low, :high);
