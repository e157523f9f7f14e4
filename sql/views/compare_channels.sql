create or replace function compare_channels(first_day date default '-infinity', last_day date default 'infinity')
returns table (
    channel text, days bigint, sessions numeric, rate double precision, default_rate double precision,
    difference double precision, low double precision, high double precision, beyond_chance boolean
)
language sql stable
begin atomic
    with pair as (
        select theirs.channel, theirs.day
        from list_click as theirs
        where theirs.channel <> 'default' and theirs.day between first_day and last_day
        group by theirs.channel, theirs.day
        having exists (select from list_click as ours where ours.channel = 'default' and ours.day = theirs.day)
    ),
    summed as (
        select
            pair.channel, count(distinct pair.day) as days, counted.channel = 'default' as is_default,
            sum(sessions) as sessions, (sum(clicked) / sum(shown))::double precision as rate,
            ratio_error(
                sum(sessions), sum(shown), sum(clicked), sum(shown_squared), sum(shown_clicked), sum(clicked_squared)
            ) as error
        from pair
        join list_click as counted
            on counted.day = pair.day
            and counted.channel in (pair.channel, 'default')
            and counted.rank = 0
            and counted.source = 'all'
        group by pair.channel, is_default
    ),
    compared as (
        select
            theirs.channel, theirs.days, theirs.sessions + ours.sessions as sessions, theirs.rate,
            ours.rate as default_rate, theirs.rate - ours.rate as difference,
            1.96 * sqrt(theirs.error ^ 2 + ours.error ^ 2) as width
        from summed as theirs
        join summed as ours using (channel)
        where ours.is_default and not theirs.is_default
    )
    select
        channel, days, sessions, rate, default_rate, difference, difference - width, difference + width,
        abs(difference) > width
    from compared
    order by channel;
end;

comment on function compare_channels(date, date) is 'Share of clicked lists of each channel less that of the channel default, on the days on which both were shown, with its 95% interval clustered by session: select * from compare_channels(). Chance alone is beyond it once in twenty.';
