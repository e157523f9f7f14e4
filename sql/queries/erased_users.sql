select
    salt,
    coalesce(array_agg(distinct user_hash) filter (where user_hash is not null), '{}') as user_hashes,
    coalesce(array_agg(distinct phrase_hash) filter (where phrase_hash is not null), '{}') as phrase_hashes,
    coalesce(array_agg(distinct phrase_words) filter (where phrase_words is not null), '{}') as phrase_words
from erasure_salt
left join erasure on true
group by salt;
