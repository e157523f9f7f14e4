-- Of the pages looked at most: which first ten places hold another product than in another version.
with page as (
    select product_id, sessions
    from recommended_product
    where version_id = :after
    order by sessions desc nulls last, product_id
    limit :pages
),
place as (
    select page.product_id, later.rank, later.related_product_id
    from page
    join recommendation as later
        on later.version_id = :after and later.product_id = page.product_id and later.rank <= 10
    where exists (select from recommendation where version_id = :before)
),
former as (
    select page.product_id, earlier.rank, earlier.related_product_id
    from page
    join recommendation as earlier
        on earlier.version_id = :before and earlier.product_id = page.product_id and earlier.rank <= 10
),
changed as (
    select
        product_id, related_product_id, place.rank, former.rank as rank_before
    from place
    full join former using (product_id, related_product_id)
)
select
    page.product_id, page.sessions,
    count(changed.rank) as places,
    count(changed.rank) filter (where changed.rank_before is null) as new_places,
    array_agg(changed.related_product_id order by changed.rank) filter (where changed.rank_before is null) as new,
    array_agg(changed.related_product_id order by changed.rank_before) filter (where changed.rank is null) as gone
from page
join changed using (product_id)
group by page.product_id, page.sessions
order by page.sessions desc nulls last, page.product_id;
