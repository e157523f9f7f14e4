import time
from collections import defaultdict
from datetime import date, datetime, timedelta
from itertools import permutations
from pathlib import Path
from uuid import uuid4

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.interactions import Interactions
from tasks.build_interactions import build_interactions
from tasks.errors import BadInput, NotReady
from tasks.ingest_clicks import COLUMNS
from tasks.night import Night
from tasks.pairs import pair_products, weigh_pairs
from tasks.settings import Settings
from tasks.storage import Storage
from tasks.tables import duckdb_engine

NIGHT = date(2017, 6, 30)
Click = tuple[int, str, str, str | None]  # days before the night, session, product, source
Pairs = dict[tuple[str, str], float]


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    settings = Settings(
        storage_url=str(tmp_path / "storage"), catalogue_url=str(tmp_path / "catalogue.csv"),
        window_days=10, held_out_days=2, min_support=1, half_life_days=2,
    )  # fmt: skip
    catalogue(settings, "abcdefgh")
    return settings


def catalogue(settings: Settings, ids: str) -> None:
    lines = ["product_id,title,blocked", *(f"{id_},product {id_},{id_ == 'h'}" for id_ in ids), "untitled,,false"]
    Path(settings.catalogue_url).write_text("\n".join(lines))


def ingest(settings: Settings, clicks: list[Click]) -> None:
    """Store cleaned clicks as ingest_clicks would."""
    for days_ago in {click[0] for click in clicks}:
        day = NIGHT - timedelta(days=days_ago)
        with Storage(settings.storage_url).write(Night.clicks(day)) as (folder, _):
            pq.write_table(as_table([click for click in clicks if click[0] == days_ago]), folder / "clicks.parquet")


def as_table(clicks: list[Click]) -> pa.Table:
    noon = datetime(NIGHT.year, NIGHT.month, NIGHT.day, 12)
    rows = [
        {
            "event_time": noon - timedelta(days=age),
            "session_id": session,
            "product_id": product,
            "source_product_id": src,
        }
        for age, session, product, src in clicks
    ]
    types = dict.fromkeys(COLUMNS, pa.string()) | {"event_time": pa.timestamp("us")}
    return pa.Table.from_pylist(rows, schema=pa.schema(types))


def build(settings: Settings) -> dict[str, float]:
    return build_interactions(Night.of(NIGHT, settings), settings)


def load(settings: Settings, part: str) -> Interactions:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(f"nights/night={NIGHT}/interactions")) as folder:
        return Interactions.load(folder / part)


def pairs_of(interactions: Interactions) -> Pairs:
    weights = interactions.weights_NL.tocoo()
    points, labels = interactions.point_ids_N[weights.row], interactions.label_ids_L[weights.col]
    return dict(zip(zip(points.tolist(), labels.tolist(), strict=True), weights.data.tolist(), strict=True))


def stored_pairs(settings: Settings, part: str) -> Pairs:
    return pairs_of(load(settings, part))


def test_sessions_pair_their_products_both_ways(place: Settings) -> None:
    ingest(place, [(0, "s", "a", None), (0, "s", "b", None), (3, "t", "b", None), (3, "t", "c", None)])
    build(place)
    assert stored_pairs(place, "held_out") == {("a", "b"): 1, ("b", "a"): 1}
    assert stored_pairs(place, "training").keys() == {("b", "c"), ("c", "b")}


def test_a_source_pairs_one_way_and_alone(place: Settings) -> None:
    ingest(
        place, [(0, "s", "a", None), (0, "s", "b", "c"), (0, "s", "d", None), (3, "t", "a", "b"), (3, "t", "a", "a")]
    )
    build(place)
    assert stored_pairs(place, "held_out").keys() == {("c", "b"), ("a", "d"), ("d", "a")}
    assert stored_pairs(place, "training").keys() == {("b", "a")}


def test_training_weights_halve_with_age_and_held_out_weights_do_not(place: Settings) -> None:
    days = {0: 2, 1: 1, 2: 3, 4: 1, 9: 1}
    clicks = [
        (age, f"{age}-{n}", product, None) for age, times in days.items() for n in range(times) for product in "ab"
    ]
    ingest(place, clicks)
    build(place)
    assert stored_pairs(place, "held_out")["a", "b"] == 3
    cut = 1  # the held-out days are 0 and 1 days before the night
    expected = sum(times * 0.5 ** ((age - cut) / 2) for age, times in days.items() if age > cut)
    assert stored_pairs(place, "training")["a", "b"] == pytest.approx(expected, rel=1e-6)


def test_pairs_of_few_sessions_and_of_unknown_products_are_dropped_and_counted(place: Settings) -> None:
    twice = [(3, session, product, None) for session in "st" for product in ("a", "b", "unknown", "untitled")]
    ingest(place, [*twice, (3, "u", "a", None), (3, "u", "c", None), (0, "v", "a", "unknown")])
    counts = build(place.model_copy(update={"min_support": 2}))
    assert stored_pairs(place, "training").keys() == {("a", "b"), ("b", "a")}
    assert counts["training_pairs"] == 2
    assert counts["training_pairs_outside_catalogue"] == 2 * (4 * 3 - 2)
    assert (counts["held_out_pairs_outside_catalogue"], counts["held_out_pairs"]) == (1, 0)
    assert (counts["products"], counts["refused_products"]) == (8, 1)


def test_the_same_pair_seen_again_in_a_session_counts_once(place: Settings) -> None:
    ingest(place, [(0, "s", product, source) for product, source in (("a", "b"), ("a", "b"), ("b", None), ("a", None))])
    ingest(place, [(3, "t", "a", "b"), (4, "t", "a", "b")])
    counts = build(place)
    assert stored_pairs(place, "held_out") == {("a", "b"): 1, ("b", "a"): 1}
    assert stored_pairs(place, "training") == {("b", "a"): pytest.approx(0.5)}  # 2 days before the cut: its last day
    assert (counts["training_sessions"], counts["held_out_sessions"]) == (1, 1)


def test_large_sessions_make_no_pairs(place: Settings) -> None:
    fits = [(3, "fits", product, None) for product in "abca"]
    ingest(place, [(0, "s", "a", "b"), *fits, *((3, "bot", product, None) for product in "defg"), (3, "bot", "d", "e")])
    counts = build(place.model_copy(update={"max_session_products": 3}))
    assert counts["training_too_large_sessions"] == 1
    assert stored_pairs(place, "training").keys() == set(permutations("abc", 2)) | {("e", "d")}


def test_the_heaviest_related_products_are_kept_for_training_alone(place: Settings) -> None:
    visits = {"b": 1, "c": 2, "d": 1, "e": 3}
    for age in (3, 0):
        ingest(place, [(age, f"{p}{n}", p, "a") for p, times in visits.items() for n in range(times)])
    build(place.model_copy(update={"max_related": 3}))
    assert stored_pairs(place, "training").keys() == {("a", "e"), ("a", "c"), ("a", "b")}
    assert stored_pairs(place, "held_out").keys() == {("a", related) for related in visits}


def test_the_matrix_is_over_the_whole_catalogue_blocked_products_too(place: Settings) -> None:
    ingest(place, [(0, "s", "a", "h"), (3, "t", "h", "a")])
    build(place)
    interactions = load(place, "training")
    assert interactions.point_ids_N.tolist() == interactions.label_ids_L.tolist() == list("abcdefgh")
    assert interactions.weights_NL.dtype == np.float32
    assert stored_pairs(place, "held_out").keys() == {("h", "a")}


def test_the_artefact_holds_the_products_and_what_it_was_made_from(place: Settings) -> None:
    ingest(place, [(0, "s", "a", "b"), (3, "t", "a", "b"), (11, "u", "c", "d"), (-1, "v", "c", "d")])
    counts = build(place)
    storage = Storage(place.storage_url)
    artefact = storage.read(f"nights/night={NIGHT}/interactions")
    assert (counts["days"], counts["days_of_window"]) == (2, 10)
    assert artefact.sources.keys() == {"clicks/date=2017-06-30", "clicks/date=2017-06-27", "catalogue"}
    assert artefact.sources["clicks/date=2017-06-27"] == storage.read("clicks/date=2017-06-27").hash
    with storage.open(artefact) as folder:
        products = pq.read_table(folder / "products.parquet")
        refused = pq.read_table(folder / "refused_products.parquet").to_pylist()
    assert products["product_id"].to_pylist() == list("abcdefgh")
    assert products["blocked"].to_pylist() == [False] * 7 + [True]
    assert refused == [{"product_id": "untitled", "reason": "missing_title"}]


def test_the_nights_own_day_must_be_ingested(place: Settings) -> None:
    ingest(place, [(3, "s", "a", "b")])
    with pytest.raises(
        NotReady, match="the clicks of 2017-06-30 are not ingested: run ingest_clicks --night 2017-06-30"
    ):
        build(place)


def test_a_day_before_the_cut_must_be_ingested(place: Settings) -> None:
    ingest(place, [(0, "s", "a", "b"), (1, "s", "a", "b"), (10, "s", "a", "b")])
    with pytest.raises(BadInput, match=r"from 2017-06-21 until before 2017-06-29, but there are none"):
        build(place)


def test_a_window_without_a_pair_to_train_on_is_refused_and_the_old_one_stays(place: Settings) -> None:
    ingest(place, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    build(place)
    ingest(place, [(3, "s", "a", "unknown"), (3, "t", "c", None)])
    with pytest.raises(BadInput, match=r"none is shared by 1 or more of the 2 sessions .* 1 pairs are outside"):
        build(place)
    assert stored_pairs(place, "training").keys() == {("b", "a")}


def test_duplicate_ids_in_the_catalogue_leave_the_old_interactions(place: Settings) -> None:
    ingest(place, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    build(place)
    catalogue(place, "abca")
    with pytest.raises(BadInput, match="more than once"):
        build(place)
    assert load(place, "training").point_ids_N.tolist() == list("abcdefgh")


def test_remote_storage(place: Settings) -> None:
    remote = place.model_copy(update={"storage_url": f"memory://{uuid4().hex}"})
    ingest(remote, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    build(remote)
    assert stored_pairs(remote, "training").keys() == {("b", "a")}


def reference(
    clicks: list[Click], ids: str, *, max_session_products: int, half_life: float, min_support: int, related: int
) -> Pairs:
    """The slow and obvious way: a dict of pairs a session."""
    age, products, pairs = {}, defaultdict(set), defaultdict(set)
    for days_ago, session, product, source in clicks:
        age[session] = min(age.get(session, days_ago), days_ago)
        if source is None:
            products[session].add(product)
        elif source != product:
            pairs[session].add((source, product))
    for session, seen in products.items():
        if len(seen) <= max_session_products:
            pairs[session] |= set(permutations(seen, 2))
    weights, support = defaultdict(float), defaultdict(int)
    for session, found in pairs.items():
        for query, label in found:
            if query in ids and label in ids:
                weights[query, label] += 0.5 ** (age[session] / half_life)
                support[query, label] += 1
    kept: Pairs = {}
    for query in ids:
        mine = sorted((-round(weights[query, label], 9), label) for q, label in support if q == query)
        mine = [(weight, label) for weight, label in mine if support[query, label] >= min_support]
        kept |= {(query, label): -weight for weight, label in mine[:related]}
    return kept


SOURCES = st.sampled_from([None, None, None, "a", "b", "x"])
CLICKS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from("stuvw"), st.sampled_from("abcdxy"), SOURCES), min_size=1, max_size=40
)


@given(
    clicks=CLICKS, max_session_products=st.integers(2, 5), half_life=st.sampled_from([0.5, 3.0, 45.0]),
    min_support=st.integers(1, 3), related=st.integers(1, 5),
)  # fmt: skip
@hypothesis_settings(deadline=None, max_examples=40)
def test_pairs_are_those_of_the_reference(clicks, max_session_products, half_life, min_support, related) -> None:
    ids = "abcd"
    with duckdb_engine() as engine:
        table = engine.create_table("clicks", as_table(clicks))
        pairs, _ = pair_products(engine, table, pa.array(list(ids)), NIGHT, max_session_products)
        weighed = weigh_pairs(pairs, half_life, min_support, related)
    found = {(ids[row["query"]], ids[row["related"]]): row["weight"] for row in weighed.to_pylist()}
    expected = reference(
        clicks, ids, max_session_products=max_session_products, half_life=half_life, min_support=min_support,
        related=related,
    )  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-8)


def many_clicks(sessions: int, size: int, products: int) -> list[Click]:
    """Sessions of a few popular and many rare products, spread over nine days."""
    chance, clicks = np.random.default_rng(7), sessions * size
    ages, ranks = chance.integers(0, 9, clicks), np.minimum(chance.zipf(1.2, clicks), products) - 1
    return [
        (age, str(place // size), f"p{rank}", None)
        for place, (age, rank) in enumerate(zip(ages.tolist(), ranks.tolist(), strict=True))
    ]


def sell(settings: Settings, products: int) -> None:
    lines = (f"p{number},product\n" for number in range(products))
    Path(settings.catalogue_url).write_text("product_id,title\n" + "".join(lines))


def test_the_same_clicks_give_the_same_bytes_whatever_the_threads(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(place, 3_000)
    ingest(place, many_clicks(4_000, 8, 3_000))
    connect, hashes = ibis.duckdb.connect, set()
    for threads in (1, 2, 7):
        monkeypatch.setattr(
            ibis.duckdb, "connect", lambda threads=threads, **options: connect(threads=threads, **options)
        )
        build(place)
        hashes.add(Storage(place.storage_url).read(f"nights/night={NIGHT}/interactions").hash)
    assert len(hashes) == 1


def test_a_quarter_of_groceries_takes_seconds(place: Settings) -> None:
    """As large as 90 days of the demo's groceries: 39,000 baskets of 9 products."""
    sell(place, 90_000)
    ingest(place, many_clicks(40_000, 9, 90_000))
    start = time.perf_counter()
    counts = build(place)
    assert counts["training_pairs"] > 100_000
    assert time.perf_counter() - start < 60
