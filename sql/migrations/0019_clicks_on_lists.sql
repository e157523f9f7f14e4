-- Which shown lists and places were clicked, by day, in sums that days add up to a rate and its interval.

create table list_click (
    day date not null,
    version_id bigint not null references recommendation_version,
    channel text not null,
    rank smallint not null check (rank >= 0),
    source text not null,
    sessions bigint not null check (sessions > 0),
    shown bigint not null check (shown > 0),
    clicked bigint not null check (clicked between 0 and shown),
    shown_squared double precision not null,
    shown_clicked double precision not null,
    clicked_squared double precision not null,
    counted_at timestamptz not null default now(),
    primary key (day, version_id, channel, rank, source)
);
comment on table list_click is 'Lists and places that sessions were shown, and how many they clicked: one row per day, version, channel and either nothing more (whole lists), a rank or a source. See click_rates.';
comment on column list_click.day is 'UTC day of the events.';
comment on column list_click.version_id is 'recommendation_version.version_id of the version whose list was shown.';
comment on column list_click.channel is 'The channel that the shop logged; default is the live version.';
comment on column list_click.rank is 'The rank of the places; 0 where all ranks are counted.';
comment on column list_click.source is 'The source of the places (see recommendation.source); all where all sources are counted. Rank 0 of source all counts whole lists.';
comment on column list_click.sessions is 'Sessions that were shown any.';
comment on column list_click.shown is 'Lists (or places) that were shown, each page of a session once, however often it was opened.';
comment on column list_click.clicked is 'How many of these the session clicked.';
comment on column list_click.shown_squared is 'Sum over sessions of the square of what each was shown.';
comment on column list_click.shown_clicked is 'Sum over sessions of what each was shown times what it clicked.';
comment on column list_click.clicked_squared is 'Sum over sessions of the square of what each clicked.';
comment on column list_click.counted_at is 'When; late events count the day again.';
