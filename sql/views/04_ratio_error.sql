create or replace function ratio_error(
    sessions numeric, shown numeric, clicked numeric, shown_squared double precision, shown_clicked double precision,
    clicked_squared double precision
)
returns double precision
language sql immutable
begin atomic
    -- Linearised variance of a ratio of sums over sessions (Cochran, Sampling Techniques, 1977, 6.4).
    select sqrt(
        sessions / nullif(sessions - 1, 0)
        * greatest(0, clicked_squared - 2 * rate * shown_clicked + rate ^ 2 * shown_squared)
    ) / shown
    from (select (clicked / shown)::double precision) as ratio (rate);
end;

comment on function ratio_error(numeric, numeric, numeric, double precision, double precision, double precision) is 'Standard error of clicked / shown, clustered by session, from sums of list_click; null for a single session.';
