insert into night_build_day (night, interactions_hash, day, aggregate_hash)
values (:night, :interactions_hash, :day, :aggregate_hash);
