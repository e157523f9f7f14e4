-- Share of the sessions with a product whose product has a list, in a staged version and in the live one.
select
    coalesce(sum(sessions) filter (where tonight.product_id is not null), 0)::float8 / sum(sessions) as tonight,
    coalesce(sum(sessions) filter (where live.product_id is not null), 0)::float8 / sum(sessions) as live
from clicked_product as clicked
left join recommendation_{version_id} as tonight on tonight.product_id = clicked.product_id and tonight.rank = 1
left join recommendation as live
    on live.version_id = (select version_id from live_version)
    and live.product_id = clicked.product_id
    and live.rank = 1
having sum(sessions) > 0;
