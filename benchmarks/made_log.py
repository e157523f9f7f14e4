"""A day's log of any size, made by DuckDB: sessions that stay near one another's products, and some dirt."""

from datetime import date
from pathlib import Path

import duckdb
import typer

DAY = date(2017, 6, 30)
EVENTS_PER_SESSION = 4

# Every number is a hash, so that the log is the same whatever the threads. Sessions have a geometric number of events;
# four of five events stay near the session's own products, the others go to popular ones.
LOG = """
with session as (
    select
        i as session,
        1 + floor(ln(1 - chance(i, 1)) / ln(1 - 1 / {events_per_session}))::bigint as events,
        floor({products} * pow(chance(i, 2), 3))::bigint as centre,
        86400 * chance(i, 3) as start,
        floor(chance(i, 4) * {sessions} / 2)::bigint as user
    from range({sessions}) as numbers(i)
),
event as (
    select *, unnest(range(least(events, 200))) as place, session * 256 + place as number
    from session
),
clean as (
    select
        md5(number::varchar)::uuid::varchar as event_id,
        timestamp '{day}' + to_microseconds((1e6 * least(start + 30 * place, 86399))::bigint) as event_time,
        md5('s' || session)::uuid::varchar as session_id,
        'user-' || user as user_id,
        ((case
            when chance(number, 5) < 0.8 then centre + floor(40 * chance(number, 6))
            else floor({products} * pow(chance(number, 7), 3))
        end)::bigint % {products})::varchar as product_id,
        case
            when chance(number, 8) < 0.85 then 'view' when chance(number, 8) < 0.95 then 'add_to_cart' else 'purchase'
        end as event_type,
        case when chance(number, 9) < 0.1 then (centre + floor(40 * chance(number, 10)))::bigint::varchar end
            as source_product_id,
        number
    from event
),
dirty as (
    select * replace (
        case when chance(number, 11) < 0.002 then null else session_id end as session_id,
        case when chance(number, 12) < 0.002 then 'hover' else event_type end as event_type,
        case when chance(number, 13) < 0.005 then event_time - interval 1 day else event_time end as event_time
    )
    from clean
)
select * exclude (number) from dirty
union all
select * exclude (number) from dirty where chance(number, 14) < 0.01  -- delivered twice
"""


def write_log(folder: Path, events: int, products: int) -> None:
    """Write about `events` clicks of DAY on `products` products: 1% delivered twice, 0.5% late, 0.4% to be refused."""
    file = folder / f"date={DAY}" / "log.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as engine:
        engine.execute("set preserve_insertion_order = false; set enable_progress_bar = false")
        engine.execute("create macro chance(i, salt) as (hash(i * 32 + salt) >> 11) / 9007199254740992.0")
        sessions = events // EVENTS_PER_SESSION
        made = LOG.format(day=DAY, sessions=sessions, products=products, events_per_session=float(EVENTS_PER_SESSION))
        engine.execute(f"copy ({made}) to '{file}' (format parquet, compression zstd)")


if __name__ == "__main__":
    typer.run(write_log)
