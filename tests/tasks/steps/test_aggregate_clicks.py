from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from itertools import permutations
from pathlib import Path
from uuid import uuid4

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.errors import NotReady
from tasks.ingest import counted, engine
from tasks.ingest.clicks import click_folder
from tasks.ingest.log_format import COLUMNS, EVENT_TYPES
from tasks.night import Night
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate_clicks
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction

DAY = date(2017, 6, 30)
SCHEMA = pa.schema([(name, pa.timestamp("us") if name == "event_time" else pa.string()) for name in COLUMNS])
Click = tuple[str, str, str | None, str | None, int]  # session, product, source, event type, second of the day
Pairs = dict[tuple[str, str, str], int]


def store(settings: Settings, clicks: list[Click], day: date = DAY, late: list[Click] = (), days_late: int = 1) -> None:
    """Cleaned clicks as ingest_clicks would leave them; the late ones came with the load of `day`."""
    of_before = day - timedelta(days=days_late)
    with Storage(settings.storage_url).write(Night.clicks(day)) as (folder, _):
        for name, rows, of in (("clicks", clicks, day), (click_folder(of_before, day), late, of_before)):
            if rows or name == "clicks":
                (folder / name).mkdir(parents=True)
                pq.write_table(as_table(rows, of), folder / name / "part-0.parquet")


def as_table(clicks: list[Click], day: date) -> pa.Table:
    midnight = datetime(day.year, day.month, day.day)
    names = ("session_id", "product_id", "source_product_id", "event_type")
    rows = [
        dict(zip(names, click, strict=False)) | {"event_time": midnight + timedelta(seconds=click[4])}
        for click in clicks
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def aggregate(settings: Settings, day: date = DAY) -> dict[str, float]:
    return aggregate_clicks(Night.of(day, settings), settings)


def stored(settings: Settings, day: date = DAY) -> tuple[dict[str, int], Pairs, Pairs]:
    """Sessions by product, pairs that lead both ways (written both ways), pairs that lead one way."""
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.aggregate(day))) as folder:
        products, together, followed = (
            pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("products", "together", "followed")
        )
    ids = [row["product_id"] for row in products]
    assert ids == sorted(ids, key=str.encode)
    for rows, names in (
        (together, ("product_i", "product_j", "event_type")),
        (followed, ("query", "related", "event_type")),
    ):
        keys = [tuple(row[name] for name in names) for row in rows]
        assert keys == sorted(set(keys))
    assert all(row["product_i"] < row["product_j"] for row in together)
    both: Pairs = {}
    for row in together:
        for one, other in permutations((ids[row["product_i"]], ids[row["product_j"]])):
            both[one, other, EVENT_TYPES[row["event_type"]]] = row["sessions"]
    one_way = {
        (ids[row["query"]], ids[row["related"]], EVENT_TYPES[row["event_type"]]): row["sessions"] for row in followed
    }
    return {row["product_id"]: row["sessions"] for row in products}, both, one_way


def test_products_of_a_session_pair_both_ways_and_count_once(settings: Settings) -> None:
    clicks = [("s", product, None, None, place) for place, product in enumerate("abab")] + [("t", "a", None, None, 5)]
    store(settings, [*clicks, ("u", "b", None, None, 1), ("u", "a", None, None, 2)])
    counts = aggregate(settings)
    assert counts == {"sessions": 3, "products": 2, "pairs": 1, "too_large_sessions": 0, "other_days_made_anew": 0}
    assert stored(settings) == ({"a": 3, "b": 2}, {("a", "b", "view"): 2, ("b", "a", "view"): 2}, {})


def test_a_product_reached_from_another_page_follows_that_one_alone(settings: Settings) -> None:
    store(
        settings,
        [("s", "a", None, None, 0), ("s", "b", "x", None, 1), ("s", "c", None, None, 2), ("s", "b", None, None, 3)],
    )
    aggregate(settings)
    products, both, one_way = stored(settings)
    assert products == {"a": 1, "b": 1, "c": 1, "x": 0}
    assert both == {("a", "c", "view"): 1, ("c", "a", "view"): 1}
    assert one_way == {("x", "b", "view"): 1}


def test_a_pair_has_the_weaker_type_of_its_two_strongest_clicks(settings: Settings) -> None:
    types = {"a": ["view", "purchase"], "b": ["purchase"], "c": ["add_to_cart", None]}
    store(settings, [("s", product, None, kind, 0) for product, kinds in types.items() for kind in kinds])
    aggregate(settings)
    _, both, _ = stored(settings)
    assert {pair for pair in both if pair[0] < pair[1]} == {
        ("a", "b", "purchase"), ("a", "c", "add_to_cart"), ("b", "c", "add_to_cart"),
    }  # fmt: skip


def test_late_clicks_count_on_their_own_day(settings: Settings) -> None:
    before = DAY - timedelta(days=1)
    store(settings, [("s", "a", None, None, 0)], before)
    aggregate(settings, before)
    store(settings, [("t", "c", None, None, 0)], late=[("s", "b", None, None, 9)])
    assert aggregate(settings)["other_days_made_anew"] == 1
    assert stored(settings, before)[1].keys() == {("a", "b", "view"), ("b", "a", "view")}
    assert aggregate(settings)["other_days_made_anew"] == 0
    store(settings, [("t", "c", None, None, 0)])  # loaded again, without the late click
    assert aggregate(settings)["other_days_made_anew"] == 1
    assert stored(settings, before)[1] == {}


def test_a_setting_that_shapes_pairs_makes_days_before_anew(settings: Settings) -> None:
    for day in (DAY - timedelta(days=1), DAY):
        store(settings, [("s", "a", None, None, 0), ("s", "b", None, None, 9_000)], day)
        aggregate(settings, day)
    assert aggregate(settings.model_copy(update={"pair_minutes": 60}))["other_days_made_anew"] == 1
    assert stored(settings, DAY - timedelta(days=1))[1] == {}


def test_the_table_of_aggregates_follows_the_files(settings: Settings) -> None:
    for clicks in ([("s", "a", None, None, 0)], [("s", "a", None, None, 0), ("s", "b", None, None, 0)]):
        store(settings, clicks)
        aggregate(settings)
        with transaction(settings) as connection:
            (row,) = connection.execute(sa.text("select * from daily_aggregate")).mappings()
        assert row["aggregate_hash"] == Storage(settings.storage_url).read(Night.aggregate(DAY)).hash
        assert (row["day"], row["sessions"], row["products"]) == (DAY, 1, len(clicks))


def test_a_day_that_is_not_ingested(settings: Settings) -> None:
    with pytest.raises(NotReady, match="run ingest_clicks --night 2017-06-30"):
        aggregate(settings)


def test_a_day_of_which_everything_was_erased(settings: Settings) -> None:
    store(settings, [])
    assert aggregate(settings)["products"] == 0
    assert stored(settings) == ({}, {}, {})


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_same_clicks_give_the_same_bytes_in_whatever_order_and_on_whatever_threads(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    clicks: list[Click] = [
        (f"s{n % 1009}", f"p{n * n % 97}", None if n % 3 else f"p{n % 7}", EVENT_TYPES[n % 3], n % 86_400)
        for n in range(30_000)
    ]
    connect = ibis.duckdb.connect
    monkeypatch.setattr(ibis.duckdb, "connect", lambda **options: connect(threads=threads, **options))
    hashes = set()
    for rows in (clicks, clicks[::-1], [*clicks, *clicks[:500]]):
        store(settings, rows)
        aggregate(settings)
        hashes.add(Storage(settings.storage_url).read(Night.aggregate(DAY)).hash)
    monkeypatch.undo()
    aggregate(settings)
    assert hashes == {Storage(settings.storage_url).read(Night.aggregate(DAY)).hash}


def reference(clicks: list[Click], settings: Settings) -> tuple[dict[str, int], Pairs, Pairs]:
    """The slow and obvious way."""
    strength = {kind: place for place, kind in enumerate(EVENT_TYPES)}
    by_session = defaultdict(list)
    for click in clicks:
        by_session[click[0]].append(click)
    products = dict.fromkeys((p for _, product, source, *_ in clicks for p in (product, source) if p), 0)
    both, one_way = defaultdict(int), defaultdict(int)
    for of_session in by_session.values():
        best: dict[str, tuple[int, int]] = {}
        steps: dict[tuple[str, str], int] = {}
        reached = {product for _, product, source, *_ in of_session if source}
        if len({product for _, product, *_ in of_session} - reached) > settings.max_session_products:
            continue
        for _, product, source, kind, second in of_session:
            rank = strength.get(kind or "view", 0)
            best[product] = min(best.get(product, (9, 0)), (2 - rank, second))
            if source and source != product:
                steps[source, product] = max(steps.get((source, product), 0), rank)
        for product in best:
            products[product] += 1
        for (source, product), rank in steps.items():
            one_way[source, product, EVENT_TYPES[rank]] += 1
        basket = {product: at for product, at in best.items() if product not in reached}
        for one, other in permutations(basket, 2):
            kind = EVENT_TYPES[2 - max(basket[one][0], basket[other][0])]
            apart = basket[other][1] - basket[one][1]
            if abs(apart) > settings.pair_minutes * 60:
                continue
            if settings.pair_direction == "both" or apart == 0:
                both[one, other, kind] += 1
            elif apart > 0:
                one_way[one, other, kind] += 1
    return products, dict(both), dict(one_way)


CLICKS = st.lists(
    st.tuples(
        st.sampled_from("stu"),
        st.sampled_from(["a", "b", "c", "dé", "Z"]),
        st.sampled_from([None, None, None, "a", "x"]),
        st.sampled_from([None, *EVENT_TYPES]),
        st.sampled_from([0, 30, 60, 61, 86_399]),
    ),
    min_size=1,
    max_size=25,
)


@given(
    clicks=CLICKS,
    minutes=st.sampled_from([1, 1440]),
    direction=st.sampled_from(["both", "later"]),
    cap=st.integers(2, 5),
)
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_aggregates_are_those_of_the_reference(settings, clicks, minutes, direction, cap) -> None:
    shape = {"pair_minutes": minutes, "pair_direction": direction, "max_session_products": cap}
    settings = settings.model_copy(update=shape | {"storage_url": f"{settings.storage_url}/{uuid4().hex}"})
    store(settings, clicks)
    aggregate(settings)
    assert stored(settings) == reference(clicks, settings)


@given(
    keys=st.lists(st.integers(0, 20), max_size=60), at_once=st.integers(1, 7), in_memory=st.booleans(),
    times=st.integers(1, 4),
)  # fmt: skip
@hypothesis_settings(max_examples=40)
def test_equal_keys_are_counted_across_batches(keys, at_once, in_memory, times) -> None:
    with pytest.MonkeyPatch.context() as patched, engine.duckdb_engine() as duckdb:
        patched.setattr(engine, "ROWS_AT_ONCE", at_once)
        patched.setattr(engine, "KEYS_AT_ONCE", at_once)
        patched.setattr(engine, "KEYS_IN_MEMORY", 1 << 20 if in_memory else 0)
        table = duckdb.create_table("keys", pa.table({"key": pa.array(keys, pa.int64())}))
        counted = [
            pair for distinct, counts in engine.value_counts(table) for pair in zip(distinct, counts, strict=True)
        ]
        assert counted == sorted(Counter(keys).items())
        frequent = engine.more_frequent_than(times, table)
        found = frequent.to_pyarrow()["key"].to_pylist() if frequent is not None else []
        assert sorted(found) == sorted(key for key, count in Counter(keys).items() if count > times)


def test_a_key_is_two_products_and_a_type(tmp_path: Path) -> None:
    with engine.duckdb_engine() as duckdb:
        keys = [(1 << 4 | 2) << 2] * 7 + [(4 << 4 | 5) << 2 | 2] * 2 + [(1 << 4 | 3) << 2 | 1]  # 9 products: 4 bits
        table = duckdb.create_table("keys", pa.table({"key": keys}))
        assert counted.write_pairs(engine.value_counts(table), 9, counted.TOGETHER, tmp_path / "pairs.parquet") == 3
    assert [tuple(row.values()) for row in pq.read_table(tmp_path / "pairs.parquet").to_pylist()] == [
        (1, 2, 0, 7), (1, 3, 1, 1), (4, 5, 2, 2),
    ]  # fmt: skip
