-- A day's shown and clicked lists and places of one version, summed up by session first: its events go together.
with shown as (
    select session, channel, product_id
    from shown_list
    where version_id = :version_id and related_product_id is null
),
clicked as (
    select session, channel, product_id, related_product_id
    from shown_list
    where version_id = :version_id and related_product_id is not null
),
place as (
    select shown.session, shown.channel, shown.product_id, listed.rank, listed.source, clicked.session is not null as clicked
    from shown
    join shown_recommendation as listed
        on listed.version_id = :version_id and listed.product_id = shown.product_id and listed.rank <= :places
    left join clicked
        on clicked.session = shown.session
        and clicked.channel = shown.channel
        and clicked.product_id = shown.product_id
        and clicked.related_product_id = listed.related_product_id
),
list as (
    select session, channel, product_id, bool_or(clicked) as clicked
    from place
    group by session, channel, product_id
),
of_session as (
    select channel, 0 as rank, 'all' as source, count(*)::float8 as shown, count(*) filter (where clicked)::float8 as clicked
    from list
    group by session, channel
    union all
    select channel, coalesce(rank, 0), coalesce(source, 'all'), count(*)::float8, count(*) filter (where clicked)::float8
    from place
    group by grouping sets ((session, channel, rank), (session, channel, source))
)
insert into list_click (
    day, version_id, channel, rank, source, sessions, shown, clicked, shown_squared, shown_clicked, clicked_squared
)
select
    :day, :version_id, channel, rank, source, count(*), sum(shown), sum(clicked), sum(shown ^ 2), sum(shown * clicked),
    sum(clicked ^ 2)
from of_session
group by channel, rank, source;
