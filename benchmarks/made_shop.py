"""A shop of any size whose titles and clicks carry signal: hidden topics of products that go together.

Visitors follow one topic or two and are led astray by what sells anywhere. Most products sell to nobody, some appear
during the log, and interest in each topic rises and falls.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from benchmarks.made_titles import Numbers, made_catalogue

TOPIC_SIZES = (10, 40)  # products, the smallest and the largest
TOPIC_POWER = 0.3  # of Zipf's law over topics
SPREAD, MOST_SPREAD = 2.0, 2.0  # of the logarithms of how often products are chosen: deviation, and so many at most
DORMANT = 0.5  # of the products: only who browses at random comes across them
NEW = 0.05  # of the products appear after the first day
TREND, TREND_DAYS = 0.5, 28  # interest in a topic swings by exp(+-TREND) in so many days
EVENTS_PER_SESSION, MOST_EVENTS = 3, 60
SECOND_TOPIC = 0.5  # of the sessions follow two topics
ASTRAY, AT_RANDOM = 0.4, 0.005  # of the events are of what sells anywhere, or of any product
EVENT_TYPES = {"view": 0.85, "add_to_cart": 0.1, "purchase": 0.05}

# Ids are hashes, so that they are the same whatever the threads.
LOG = """
select
    md5('event ' || event)::uuid::varchar as event_id,
    timestamp '{day}' + to_microseconds(microseconds) as event_time,
    md5('session ' || session)::uuid::varchar as session_id,
    'user-' || user_number as user_id,
    product_number::varchar as product_id,
    {event_types}[kind + 1] as event_type
from clicks
"""

Doubles = npt.NDArray[np.float64]


class Shop(NamedTuple):
    """P products side by side by topic: those of topic T are the rows from first_T[T] up to first_T[T + 1].

    weight_P: how often a product is chosen, in no unit; phase_T: where in its swing a topic begins, from 0 to 1;
    listed_P: the day of the log on which a product appears, from 0; number_P: its id, which says nothing of its topic.
    """

    topic_P: Numbers
    first_T: Numbers
    weight_P: Doubles
    phase_T: Doubles
    listed_P: Numbers
    number_P: Numbers

    @classmethod
    def of(cls, products: int, days: int, seed: int) -> "Shop":
        """Draw the shop of a log of so many days."""
        random, (smallest, largest) = np.random.default_rng(seed), TOPIC_SIZES
        ends = np.cumsum(random.integers(smallest, largest + 1, 1 + products // smallest))
        first_T = np.concatenate([[0], ends[ends < products], [products]])
        topics = len(first_T) - 1
        topic_P = np.repeat(np.arange(topics), np.diff(first_T))
        place_T = random.permutation(topics) + 1.0
        spread_P = np.minimum(random.normal(size=products), MOST_SPREAD)
        weight_P = np.exp(SPREAD * spread_P) * place_T[topic_P] ** -TOPIC_POWER
        weight_P[random.random(products) < DORMANT] = 0
        listed_P = np.where(random.random(products) < NEW, random.integers(1, max(days, 2), products), 0)
        return cls(topic_P, first_T, weight_P, random.random(topics), listed_P, random.permutation(products))

    def interest(self, day: int) -> Doubles:
        """How often each product is chosen on a day of the log, P."""
        swing_T = np.exp(TREND * np.sin(2 * np.pi * (self.phase_T + day / TREND_DAYS)))
        return np.where(self.listed_P <= day, self.weight_P, 0) * swing_T[self.topic_P]

    def clicks(self, day: int, events: int, random: np.random.Generator) -> pa.Table:
        """About `events` clicks of a day of the log by time, as LOG reads them."""
        sessions = max(events // EVENTS_PER_SESSION, 1)
        events_S = np.minimum(random.geometric(1 / EVENTS_PER_SESSION, sessions), MOST_EVENTS)
        session_E = np.repeat(np.arange(sessions), events_S)
        product_E = self._chosen(day, session_E, random)
        place_E = np.arange(len(session_E)) - (np.cumsum(events_S) - events_S)[session_E]
        start_S = random.random(sessions) * (86_400 - 30 * MOST_EVENTS)
        second_E = start_S[session_E] + 30 * place_E
        of_day = day << 40
        columns = {
            "event": of_day + np.arange(len(session_E)),
            "session": of_day + session_E,
            "microseconds": (1e6 * second_E).astype(np.int64),
            "kind": random.choice(len(EVENT_TYPES), len(session_E), p=list(EVENT_TYPES.values())),
            "user_number": random.integers(sessions, size=sessions)[session_E],
            "product_number": self.number_P[product_E],
        }
        by_time = np.argsort(second_E, kind="stable")
        return pa.table({name: column[by_time] for name, column in columns.items()})

    def _chosen(self, day: int, session_E: Numbers, random: np.random.Generator) -> Numbers:
        """The product of every event: of a topic of its session, of what sells anywhere, or any."""
        sold = np.append(0, np.cumsum(self.interest(day)))  # a product has the stretch from its own entry to the next
        events, sessions = len(session_E), int(session_E[-1]) + 1
        one_S, other_S = (self.topic_P[_drawn(random, sold, 0, sold[-1], sessions)] for _ in range(2))
        other_S = np.where(random.random(sessions) < SECOND_TOPIC, other_S, one_S)
        topic_E = np.where(random.random(events) < 0.5, one_S[session_E], other_S[session_E])
        followed_E = _drawn(random, sold, sold[self.first_T[topic_E]], sold[self.first_T[topic_E + 1]], events)
        listed = np.flatnonzero(self.listed_P <= day)
        anything_E, astray_E = listed[random.integers(len(listed), size=events)], random.random(events)
        product_E = np.where(astray_E < ASTRAY, _drawn(random, sold, 0, sold[-1], events), followed_E)
        return np.where(astray_E < AT_RANDOM, anything_E, product_E)


def write_made_shop(folder: Path, days: Sequence[date], products: int, events_a_day: int, seed: int = 0) -> None:
    """Write folder/catalogue.parquet, all products from the first day on, and folder/clicks/date=D/log.parquet.

    One day at a time is in memory. The same arguments write the same rows in the same order.
    """
    shop = Shop.of(products, len(days), seed)
    catalogue = made_catalogue(shop.topic_P, np.random.default_rng([seed, 1]))
    catalogue = catalogue.add_column(0, "product_id", pa.array(shop.number_P).cast(pa.string()))
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(catalogue.take(np.argsort(shop.number_P)), folder / "catalogue.parquet")
    for number, day in enumerate(days):
        file = folder / "clicks" / f"date={day}" / "log.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        clicks = shop.clicks(number, events_a_day, np.random.default_rng([seed, 2, number]))
        with duckdb.connect() as engine:
            engine.execute("set enable_progress_bar = false")
            engine.register("clicks", clicks)
            log = LOG.format(day=day, event_types=list(EVENT_TYPES))
            engine.execute(f"copy ({log}) to '{file}' (format parquet, compression zstd)")


def _drawn(
    random: np.random.Generator, sold: Doubles, low: float | Doubles, high: float | Doubles, count: int
) -> Numbers:
    """Products whose stretches of `sold` hold points drawn between low and high."""
    points = low + random.random(count) * (high - low)
    return np.minimum(np.searchsorted(sold, points, side="right"), len(sold) - 1) - 1


def main(
    folder: Annotated[Path, typer.Argument(help="gets catalogue.parquet and clicks/date=YYYY-MM-DD/log.parquet")],
    products: Annotated[int, typer.Option(min=1)] = 10_000,
    events_a_day: Annotated[int, typer.Option(min=1)] = 200_000,
    days: Annotated[int, typer.Option(min=1)] = 10,
    last: Annotated[str, typer.Option(help="the last day, YYYY-MM-DD")] = "2017-06-30",
) -> None:
    """Write a made shop as a catalogue and a click log."""
    end = date.fromisoformat(last)
    write_made_shop(folder, [end - timedelta(days=age) for age in reversed(range(days))], products, events_a_day)


if __name__ == "__main__":
    typer.run(main)
