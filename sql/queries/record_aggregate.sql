insert into daily_aggregate (day, aggregate_hash, sessions, products, pairs, code_version)
values (:day, :aggregate_hash, :sessions, :products, :pairs, :code_version)
on conflict (day) do update
set aggregate_hash = excluded.aggregate_hash, sessions = excluded.sessions, products = excluded.products,
    pairs = excluded.pairs, made_at = now(), code_version = excluded.code_version;
