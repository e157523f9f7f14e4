select salt, coalesce(array_agg(distinct user_hash) filter (where user_hash is not null), '{}') as user_hashes
from erasure_salt
left join erasure on true
group by salt;
