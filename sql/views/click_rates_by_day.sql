-- Grain: one row per day, version and channel.
create or replace view click_rates_by_day as
select
    counted.day, counted.version_id, counted.channel, counted.sessions, counted.shown, counted.clicked,
    counted.clicked::double precision / counted.shown as rate,
    greatest(0, counted.clicked::double precision / counted.shown - 1.96 * error) as low,
    least(1, counted.clicked::double precision / counted.shown + 1.96 * error) as high
from list_click as counted,
    ratio_error(sessions, shown, clicked, shown_squared, shown_clicked, clicked_squared) as error
where rank = 0 and source = 'all';

comment on view click_rates_by_day is 'Share of the shown lists that were clicked. One row per day, version and channel; click_rates has them by rank and source and over several days.';
comment on column click_rates_by_day.day is 'UTC day of the events.';
comment on column click_rates_by_day.version_id is 'recommendation_version.version_id of the version whose lists were shown.';
comment on column click_rates_by_day.channel is 'The channel; default is the live version.';
comment on column click_rates_by_day.sessions is 'Sessions that were shown a list.';
comment on column click_rates_by_day.shown is 'Lists that were shown, each page of a session once.';
comment on column click_rates_by_day.clicked is 'How many of these the session clicked.';
comment on column click_rates_by_day.rate is 'clicked / shown.';
comment on column click_rates_by_day.low is 'Lower end of its 95% interval, clustered by session; 0 for a single session.';
comment on column click_rates_by_day.high is 'Upper end of that interval.';
