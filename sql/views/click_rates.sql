create or replace function click_rates(first_day date default '-infinity', last_day date default 'infinity')
returns table (
    version_id bigint, night date, channel text, rank smallint, source text, sessions numeric, shown numeric,
    clicked numeric, rate double precision, low double precision, high double precision
)
language sql stable
begin atomic
    with summed as (
        select
            version_id, channel, rank, source, sum(sessions) as sessions, sum(shown) as shown, sum(clicked) as clicked,
            ratio_error(
                sum(sessions), sum(shown), sum(clicked), sum(shown_squared), sum(shown_clicked), sum(clicked_squared)
            ) as error
        from list_click
        where day between first_day and last_day
        group by version_id, channel, rank, source
    )
    select
        summed.version_id, version.night, summed.channel, summed.rank, summed.source, summed.sessions, summed.shown,
        summed.clicked, clicked / shown,
        -- Where all sessions agree, their number alone says how far off that may be.
        case when clicked = shown then 0.025 ^ (1 / sessions) else greatest(0, clicked / shown - 1.96 * error) end,
        case when clicked = 0 then 1 - 0.025 ^ (1 / sessions) else least(1, clicked / shown + 1.96 * error) end
    from summed
    join recommendation_version as version using (version_id)
    order by version_id, channel, rank, source;
end;

comment on function click_rates(date, date) is 'Share of shown lists (rank 0, source all) and of shown places by rank or by source that were clicked, with 95% intervals clustered by session: select * from click_rates(''2017-06-24'', ''2017-06-30'').';
