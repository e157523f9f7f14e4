import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import combinations, permutations
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock
from uuid import uuid4

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.evaluation.session_groups import SessionGroups
from eclare.model.data import Interactions
from eclare.related.cooccurrence import Cooccurrence, CountsByAge
from eclare.related.daily_cooccurrence import WindowCooccurrence
from tasks.errors import BadInput, NotReady
from tasks.ingest import window
from tasks.ingest.clicks import OWN, Piece
from tasks.ingest.cooccurrence import pairing
from tasks.ingest.log_format import COLUMNS as LOG_COLUMNS
from tasks.ingest.log_format import EVENT_TYPES
from tasks.night import Night
from tasks.settings import Settings
from tasks.steps import build_interactions as step
from tasks.steps.build_interactions import build_interactions
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction

NIGHT = date(2017, 6, 30)
CLEANED = pa.schema([(name, pa.timestamp("us") if name == "event_time" else pa.string()) for name in LOG_COLUMNS])
COLUMNS = (("together", ("product_i", "product_j")), ("followed", ("query", "related")))
Pairs = dict[tuple[str, str], float]


class Click(NamedTuple):
    days_ago: int
    session: str
    product: str
    source: str | None
    kind: str = "view"


@pytest.fixture
def place(settings: Settings) -> Settings:
    small = {"window_days": 10, "held_out_days": 2, "min_support": 1, "half_life_days": 2}
    sell(settings, "abcdefgh")
    return settings.model_copy(update=small)


def sell(settings: Settings, ids: Iterable[str], days_ago: int = 0) -> None:
    """Store a catalogue as ingest_catalogue would; h is blocked, one product has no title."""
    sorted_ids = sorted(ids, key=str.encode)
    with Storage(settings.storage_url).write(Night.catalogue(NIGHT - timedelta(days=days_ago))) as (folder, _):
        texts = {name: pa.array([None] * len(sorted_ids), pa.string()) for name in ("category", "brand")}
        products = {"product_id": sorted_ids, "title": [f"product {id_}" for id_ in sorted_ids], **texts}
        flags = {"in_stock": [True] * len(sorted_ids), "blocked": [id_ == "h" for id_ in sorted_ids]}
        pq.write_table(pa.table(products | flags), folder / "products.parquet")
        refused = pa.table({"product_id": ["untitled"], "reason": ["missing_title"]})
        pq.write_table(refused, folder / "refused_products.parquet")


def aggregate(settings: Settings, clicks: Iterable[tuple]) -> None:
    """Store the aggregates of the days that have clicks as aggregate_clicks would."""
    clicks = [Click(*click) for click in clicks]
    for days_ago in {click.days_ago for click in clicks}:
        of_day = [click for click in clicks if click.days_ago == days_ago]
        fitting, too_large = without_large_sessions(of_day, settings.max_session_products)
        sessions = Counter(product for _, product in {(click.session, click.product) for click in fitting})
        ids = sorted({end for click in of_day for end in (click.product, click.source) if end}, key=str.encode)
        sources = store_clicks(settings, days_ago, of_day)
        with Storage(settings.storage_url).write(day_of(days_ago), sources=sources) as (folder, counts):
            listed = {"product_id": ids, "sessions": pa.array([sessions[id_] for id_ in ids], pa.int32())}
            pq.write_table(pa.table(listed), folder / "products.parquet")
            found = pairs_of_day(fitting)
            for name, ends in COLUMNS:
                write_pairs(folder / f"{name}.parquet", ends, found[name], ids)
            counted = {"products": len(ids), "pairs": sum(map(len, found.values())), "too_large_sessions": too_large}
            counts |= {"sessions": len({click.session for click in fitting})} | counted


def store_clicks(settings: Settings, days_ago: int, clicks: Iterable[Click]) -> dict[str, str]:
    """Store a day's cleaned clicks as ingest_clicks would; returns what its aggregates say they were made of."""
    day, storage = NIGHT - timedelta(days=days_ago), Storage(settings.storage_url)
    at = datetime(day.year, day.month, day.day, 12)
    rows = [
        {
            "event_time": at,
            "session_id": session,
            "product_id": product,
            "source_product_id": source,
            "event_type": kind,
        }
        for _, session, product, source, kind in clicks
    ]
    with storage.write(Night.clicks(day)) as (folder, _):
        (folder / OWN).mkdir()
        pq.write_table(pa.Table.from_pylist(rows, CLEANED), folder / OWN / "part-0.parquet")
    piece = Piece(storage.read(Night.clicks(day)), OWN)
    return {"pairing": pairing(settings), piece.name: piece.hash}


def day_of(days_ago: int) -> str:
    return Night.aggregate(NIGHT - timedelta(days=days_ago))


def without_large_sessions(clicks: list[Click], max_session_products: int) -> tuple[list[Click], int]:
    """The clicks of the other sessions, and how many are too large; products reached from a page are not counted."""
    of, reached = defaultdict(set), {(click.session, click.product) for click in clicks if click.source}
    for click in clicks:
        of[click.session] |= {click.product} if (click.session, click.product) not in reached else set()
    large = {session for session, products in of.items() if len(products) > max_session_products}
    return [click for click in clicks if click.session not in large], len(large)


def pairs_of_day(clicks: list[Click]) -> dict[str, Counter]:
    """By name of their file, sessions of (product, product, type)."""
    found = {"together": Counter(), "followed": Counter()}
    for session in {click.session for click in clicks}:
        mine = [click for click in clicks if click.session == session]
        followed, basket = {}, {}
        for click in mine:
            held, key = (followed, (click.source, click.product)) if click.source else (basket, click.product)
            held[key] = max(held.get(key, 0), EVENT_TYPES.index(click.kind))
        reached = {related for _, related in followed}
        basket = {product: kind for product, kind in basket.items() if product not in reached}
        found["followed"].update((*pair, kind) for pair, kind in followed.items() if pair[0] != pair[1])
        pairs = combinations(sorted(basket, key=str.encode), 2)
        found["together"].update((*pair, min(basket[pair[0]], basket[pair[1]])) for pair in pairs)
    return found


def write_pairs(file: Path, ends: tuple[str, str], pairs: Counter, ids: list[str]) -> None:
    row_of = {id_: row for row, id_ in enumerate(ids)}
    rows = sorted((row_of[one], row_of[other], kind, sessions) for (one, other, kind), sessions in pairs.items())
    columns = zip(*rows, strict=True) if rows else ([],) * 4
    types = (pa.int32(), pa.int32(), pa.int8(), pa.int32())
    names = (*ends, "event_type", "sessions")
    pq.write_table(pa.table([pa.array(c, t) for c, t in zip(columns, types, strict=True)], names), file)


def pairs_of(matrix: sp.csr_matrix, ids: Sequence[str]) -> Pairs:
    entries = matrix.tocoo()
    return {(ids[i], ids[j]): n for i, j, n in zip(entries.row, entries.col, entries.data.tolist(), strict=True)}


def stored_groups(settings: Settings) -> SessionGroups:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(f"nights/night={NIGHT}/interactions")) as folder:
        return SessionGroups.load(folder)


def build(settings: Settings) -> dict[str, float]:
    return build_interactions(Night.of(NIGHT, settings), settings)


def load(settings: Settings, part: str) -> Interactions:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(f"nights/night={NIGHT}/interactions")) as folder:
        return Interactions.load(folder / part)


def stored_pairs(settings: Settings, part: str) -> Pairs:
    interactions = load(settings, part)
    weights = interactions.weights_NL.tocoo()
    points, labels = interactions.point_ids_N[weights.row], interactions.label_ids_L[weights.col]
    return dict(zip(zip(points.tolist(), labels.tolist(), strict=True), weights.data.tolist(), strict=True))


def stored_by_age(
    settings: Settings, ids: str
) -> tuple[dict[tuple[str, str, int], float], dict[tuple[str, int], float]]:
    """Weighted sessions by pair and age, sessions by product and age."""
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(f"nights/night={NIGHT}/interactions")) as folder:
        dated = Cooccurrence.load(folder)
    assert dated.products == len(ids)
    pairs = {(ids[key // len(ids)], ids[key % len(ids)], age): count for key, age, count in entries(dated.counts)}
    return pairs, {(ids[key], age): count for key, age, count in entries(dated.sessions)}


def entries(dated: CountsByAge) -> list[tuple[int, int, float]]:
    return list(zip(dated.key_E.tolist(), dated.age_E.tolist(), dated.count_E.tolist(), strict=True))


def test_sessions_pair_their_products_both_ways(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", None), (0, "s", "b", None), (3, "t", "b", None), (3, "t", "c", None)])
    build(place)
    assert stored_pairs(place, "held_out") == {("a", "b"): 1, ("b", "a"): 1}
    assert stored_pairs(place, "training").keys() == {("b", "c"), ("c", "b")}


def test_a_source_pairs_one_way(place: Settings) -> None:
    held_out = [(0, "s", "a", None), (0, "s", "b", "c"), (0, "s", "d", None)]
    aggregate(place, [*held_out, (3, "t", "a", "b"), (3, "t", "a", "a")])
    build(place)
    assert stored_pairs(place, "held_out").keys() == {("c", "b"), ("a", "d"), ("d", "a")}
    assert stored_pairs(place, "training").keys() == {("b", "a")}


def test_training_weights_halve_with_age_and_held_out_weights_do_not(place: Settings) -> None:
    days = {0: 2, 1: 1, 2: 3, 4: 1, 9: 1}
    aggregate(
        place, [(age, f"{n}", product, None) for age, times in days.items() for n in range(times) for product in "ab"]
    )
    build(place)
    assert stored_pairs(place, "held_out")["a", "b"] == 3
    cut = 1  # the held-out days are 0 and 1 days before the night
    expected = sum(times * 0.5 ** ((age - cut) / 2) for age, times in days.items() if age > cut)
    assert stored_pairs(place, "training")["a", "b"] == pytest.approx(expected, rel=1e-6)


def test_pairs_by_age_are_those_of_the_whole_window(place: Settings) -> None:
    thrice = [(3, session, "b", "a") for session in "stu"]
    aggregate(place, [*thrice, (0, "s", "b", "a"), (1, "s", "c", "a"), (2, "s", "c", "a"), (9, "s", "b", None)])
    build(place.model_copy(update={"min_support": 3}))
    pairs, seen = stored_by_age(place, "abcdefgh")
    assert pairs == {("a", "b", 0): 1, ("a", "b", 3): 3}
    assert seen == {("b", 0): 1, ("c", 1): 1, ("c", 2): 1, ("b", 3): 3, ("b", 9): 1}


def test_pairs_of_few_sessions_and_of_unknown_products_are_dropped_and_counted(place: Settings) -> None:
    twice = [(3, session, product, None) for session in "st" for product in ("a", "b", "unknown", "untitled")]
    aggregate(place, [*twice, (3, "u", "a", None), (3, "u", "c", None), (0, "v", "a", "unknown")])
    counts = build(place.model_copy(update={"min_support": 2}))
    assert stored_pairs(place, "training").keys() == {("a", "b"), ("b", "a")}
    assert counts["training_pairs"] == 2
    assert counts["training_pairs_outside_catalogue"] == 2 * (4 * 3 - 2)
    assert (counts["held_out_pairs_outside_catalogue"], counts["held_out_pairs"]) == (1, 0)
    assert (counts["products"], counts["refused_products"]) == (8, 1)
    assert (counts["training_sessions"], counts["held_out_sessions"]) == (3, 1)


def test_support_is_counted_in_the_sessions_of_each_part(place: Settings) -> None:
    aggregate(place, [(age, "s", product, None) for age in (0, 3, 4) for product in "ab"])
    build(place.model_copy(update={"min_support": 2}))
    assert stored_pairs(place, "training").keys() == {("a", "b"), ("b", "a")}
    assert stored_pairs(place, "held_out") == {}
    assert stored_by_age(place, "abcdefgh")[0].keys() == {(*pair, age) for pair in ("ab", "ba") for age in (0, 3, 4)}


def test_a_session_counts_what_its_type_of_click_weighs(place: Settings) -> None:
    kinds = {"b": ["view", "purchase"], "c": ["purchase", "purchase"], "d": ["view", "view"]}
    clicks = [(2, f"{p}{n}", p, "a", kind) for p, types in kinds.items() for n, kind in enumerate(types)]
    aggregate(place, [*clicks, *((0, *click[1:]) for click in clicks)])
    weight_of = {"view": 0.0, "add_to_cart": 1.0, "purchase": 2.5}
    build(place.model_copy(update={"weight_of": weight_of, "min_support": 2, "half_life_days": 1.0}))
    assert stored_pairs(place, "held_out") == {("a", "b"): 2.5, ("a", "c"): 5}
    assert stored_pairs(place, "training") == {("a", "b"): 1.25, ("a", "c"): 2.5}
    by_age = {("a", product, age): weight for age in (0, 2) for product, weight in (("b", 2.5), ("c", 5))}
    assert stored_by_age(place, "abcdefgh")[0] == by_age
    storage = Storage(place.storage_url)
    with storage.open(storage.read(f"nights/night={NIGHT}/interactions")) as folder:
        dated = Cooccurrence.load(folder)
    assert (dated.min_support, dated.counts.sessions_E.tolist()) == (2, [2] * 4)
    assert dated.sessions_A.tolist() == [6, 0, 6, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("weight_of", [{"view": 1.0}, {"view": 1.0, "add_to_cart": -1.0, "purchase": 1.0}])
def test_a_type_without_a_weight_is_refused(place: Settings, weight_of: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="WEIGHT_OF must give each of view, add_to_cart, purchase a finite weight"):
        build(place.model_copy(update={"weight_of": weight_of}))


def test_large_sessions_count_for_nothing(place: Settings) -> None:
    small = place.model_copy(update={"max_session_products": 3})
    fits = [(3, "fits", product, None) for product in "abc"]
    bot = [(3, "bot", product, None) for product in "cdef"]
    aggregate(small, [(0, "s", "a", "b"), *fits, *bot, (3, "bot", "b", "e")])
    counts = build(small)
    assert (counts["training_too_large_sessions"], counts["held_out_too_large_sessions"]) == (1, 0)
    assert stored_pairs(small, "training").keys() == set(permutations("abc", 2))
    storage = Storage(small.storage_url)
    with storage.open(storage.read(f"nights/night={NIGHT}/interactions")) as folder:
        known = Cooccurrence.load(folder)
    assert known.popularity().tolist() == [2, 1, 1, 0, 0, 0, 0, 0]
    assert (known.session_count, known.sessions_A[3]) == (2, 1)


def test_the_heaviest_related_products_are_kept_for_training_alone(place: Settings) -> None:
    visits = {"b": 1, "c": 2, "d": 1, "e": 3}
    for age in (3, 0):
        aggregate(place, [(age, f"{p}{n}", p, "a") for p, times in visits.items() for n in range(times)])
    build(place.model_copy(update={"max_related": 3}))
    assert stored_pairs(place, "training").keys() == {("a", "e"), ("a", "c"), ("a", "b")}
    assert stored_pairs(place, "held_out").keys() == {("a", related) for related in visits}


def test_the_matrix_is_over_the_whole_catalogue_blocked_products_too(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "h"), (3, "t", "h", "a")])
    build(place)
    interactions = load(place, "training")
    assert interactions.point_ids_N.tolist() == interactions.label_ids_L.tolist() == list("abcdefgh")
    assert interactions.weights_NL.dtype == np.float32
    assert stored_pairs(place, "held_out").keys() == {("h", "a")}


def test_ids_of_any_script_are_found_in_the_catalogue(place: Settings) -> None:
    ids = ("z", "é", "ü", "𐐷", "\uffff", "10", "9", "B")
    sell(place, ids)
    aggregate(place, [(age, "s", product, None) for age in (0, 3) for product in (*ids, "ß")])
    counts = build(place)
    assert stored_pairs(place, "training").keys() == set(permutations(ids, 2))
    assert counts["training_pairs_outside_catalogue"] == 2 * len(ids)


def test_the_artefact_holds_the_products_and_what_it_was_made_from(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "b"), (3, "t", "a", "b"), (11, "u", "c", "d"), (-1, "v", "c", "d")])
    counts = build(place)
    storage = Storage(place.storage_url)
    artefact = storage.read(f"nights/night={NIGHT}/interactions")
    inputs = ("aggregates/date=2017-06-27", "aggregates/date=2017-06-30", "catalogue/date=2017-06-30")
    assert (counts["days"], counts["days_of_window"]) == (2, 10)
    assert artefact.counts == counts
    assert artefact.sources == {path: storage.read(path).hash for path in inputs}
    with storage.open(artefact) as folder:
        products = pq.read_table(folder / "products.parquet")
        refused = pq.read_table(folder / "refused_products.parquet").to_pylist()
    assert products["product_id"].to_pylist() == list("abcdefgh")
    assert products["blocked"].to_pylist() == [False] * 7 + [True]
    assert refused == [{"product_id": "untitled", "reason": "missing_title"}]


def ledger(settings: Settings) -> tuple[list[dict], dict[date, str]]:
    """Builds, and the hash of every day's aggregates."""
    with transaction(settings) as connection:
        builds = connection.execute(sa.text("select * from night_build order by built_at")).mappings().all()
        days = connection.execute(sa.text("select day, aggregate_hash from night_build_day")).all()
    return [dict(build) for build in builds], dict(map(tuple, days))


def test_the_ledger_says_which_days_and_catalogue_made_the_artefact(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "b"), (3, "t", "a", "b")])
    for _ in range(2):
        build(place)
        (seen,), days = ledger(place)
        storage = Storage(place.storage_url)
        assert seen["night"] == NIGHT
        assert seen["interactions_hash"] == storage.read(f"nights/night={NIGHT}/interactions").hash
        assert seen["first_day"] == date(2017, 6, 21)
        assert (seen["catalogue_day"], seen["catalogue_hash"]) == (NIGHT, storage.read(Night.catalogue(NIGHT)).hash)
        expected = {NIGHT - timedelta(days=age): storage.read(day_of(age)).hash for age in (0, 3)}
        assert days == expected


def test_a_database_that_is_away_leaves_the_old_interactions(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    build(place)
    before = Storage(place.storage_url).read(f"nights/night={NIGHT}/interactions")
    aggregate(place, [(3, "s", "a", "c")])
    with pytest.raises(NotReady, match=r"127\.0\.0\.1:1"):
        build(place.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/nothing"}))
    assert Storage(place.storage_url).read(f"nights/night={NIGHT}/interactions") == before


def test_the_catalogue_is_that_of_the_newest_day_up_to_the_night(place: Settings) -> None:
    aggregate(place, [(age, "s", product, None) for age in (0, 3) for product in "abcd"])
    for days_ago, ids in ((-1, "abcd"), (1, "abc"), (2, "ab")):
        sell(place, ids, days_ago)
    Storage(place.storage_url).remove(Night.catalogue(NIGHT))
    assert build(place)["products"] == 3
    assert ledger(place)[0][0]["catalogue_day"] == NIGHT - timedelta(days=1)


def test_a_catalogue_must_be_stored(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    Storage(place.storage_url).remove(Night.catalogue(NIGHT))
    sell(place, "abc", days_ago=-1)
    with pytest.raises(NotReady, match="ingest_catalogue"):
        build(place)


def test_the_nights_own_day_must_be_aggregated(place: Settings) -> None:
    aggregate(place, [(3, "s", "a", "b")])
    expected = "the clicks of 2017-06-30 are not aggregated: run aggregate_clicks --night 2017-06-30"
    with pytest.raises(NotReady, match=expected):
        build(place)


def test_a_day_before_the_cut_must_be_aggregated(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "b"), (1, "s", "a", "b"), (10, "s", "a", "b")])
    with pytest.raises(BadInput, match=r"from 2017-06-21 until before 2017-06-29, but there are none"):
        build(place)


def test_days_paired_by_other_settings_are_refused_by_name(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    aggregate(
        place.model_copy(update={"pair_minutes": 30}), [(2, "s", "a", "b"), (4, "s", "a", "b"), (12, "s", "a", "b")]
    )
    expected = r"got '30 minutes.*run aggregate_clicks for these days again: 2017-06-26, 2017-06-28$"
    with pytest.raises(BadInput, match=expected):
        build(place)


def test_a_window_without_a_pair_to_train_on_is_refused_and_the_old_one_stays(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    build(place)
    before = ledger(place)
    aggregate(place, [(3, "s", "a", "unknown"), (3, "t", "c", None)])
    with pytest.raises(
        BadInput, match=r"none is shared by 1 or more of the 2 sessions .* 1 of their pairs are not of two"
    ):
        build(place)
    assert stored_pairs(place, "training").keys() == {("b", "a")}
    assert ledger(place) == before


def test_a_day_without_any_click_counts_as_a_day(place: Settings) -> None:
    aggregate(place, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    with Storage(place.storage_url).write(day_of(5), sources=store_clicks(place, 5, [])) as (folder, counts):
        none = {"product_id": pa.array([], pa.string()), "sessions": pa.array([], pa.int32())}
        pq.write_table(pa.table(none), folder / "products.parquet")
        for name, ends in COLUMNS:
            write_pairs(folder / f"{name}.parquet", ends, Counter(), [])
        counts |= {"sessions": 0, "products": 0, "pairs": 0, "too_large_sessions": 0}
    assert build(place)["days"] == 3


@pytest.mark.parametrize("reading", [(window, "read_pairs"), (WindowCooccurrence, "of_queries")])
def test_aggregates_that_change_while_they_are_read_are_not_mixed(
    place: Settings, monkeypatch: pytest.MonkeyPatch, reading: tuple[object, str]
) -> None:
    """Before the first reading, and between it and the second."""
    aggregate(place, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    build(place)
    read = getattr(*reading)

    def made_anew(*arguments: object) -> object:
        aggregate(place, [(3, "s", product, "c") for product in "abdefg"])
        return read(*arguments)

    monkeypatch.setattr(*reading, made_anew)
    with pytest.raises(NotReady, match=r"aggregates/date=2017-06-27 must stay .* while it is read"):
        build(place)
    assert stored_pairs(place, "training").keys() == {("b", "a")}


def test_held_out_days_are_counted_by_group_of_sessions_from_the_clicks_of_their_aggregates(place: Settings) -> None:
    clicks = [(age, f"s{n}", product, None) for age in (0, 1) for n in range(40) for product in "abc"[n % 2 :]]
    aggregate(place, [*clicks, (3, "s0", "a", None), (3, "s0", "b", None)])
    build(place)
    groups = stored_groups(place)
    assert groups.all.sessions == 80 and pairs_of(groups.all.shared_PP, list("abcdefgh"))["b", "c"] == 80
    for group in groups.occupied:
        left, rest = groups.without(group), [n for n in range(40) if group_of(f"s{n}") != group]
        counted = {"ab": 2 * sum(n % 2 == 0 for n in rest), "bc": 2 * len(rest)}
        found = pairs_of(left.shared_PP, list("abcdefgh"))
        assert {"ab": found["a", "b"], "bc": found["c", "b"]} == counted, "a session has one group on both days"
        assert left.sessions == 2 * len(rest) and left.sessions_P.tolist()[:3] == [counted["ab"], *[2 * len(rest)] * 2]
    store_clicks(place, 1, [Click(1, "s", "a", None)])
    with pytest.raises(
        NotReady, match=r"clicks/date=2017-06-29/clicks must be as .* run aggregate_clicks --night 2017-06-29"
    ):
        build(place)


def group_of(session: str) -> int:
    """The first five bits of the hash."""
    return hashlib.md5(f"group of session {session}".encode(), usedforsecurity=False).digest()[0] >> 3


def test_remote_storage(place: Settings) -> None:
    remote = place.model_copy(update={"storage_url": f"memory://{uuid4().hex}"})
    sell(remote, "abc")
    aggregate(remote, [(0, "s", "a", "b"), (3, "s", "a", "b")])
    build(remote)
    assert stored_pairs(remote, "training").keys() == {("b", "a")}


def sessions_by_pair(clicks: list[Click], ids: str, days: range, settings: Settings) -> dict[tuple[str, str], Counter]:
    """The slow and obvious way: of every pair, its sessions by age and type."""
    found = defaultdict(Counter)
    for days_ago in days:
        of_day = [click for click in clicks if click.days_ago == days_ago]
        pairs = pairs_of_day(without_large_sessions(of_day, settings.max_session_products)[0])
        both_ways = {(other, one, kind): sessions for (one, other, kind), sessions in pairs["together"].items()}
        for sessions_of in (pairs["together"], both_ways, pairs["followed"]):
            for (query, related, kind), sessions in sessions_of.items():
                if query in ids and related in ids:
                    found[query, related][days_ago, EVENT_TYPES[kind]] += sessions
    return {pair: sessions for pair, sessions in found.items() if sessions.total() >= settings.min_support}


def weights(
    sessions_of: dict[tuple[str, str], Counter], cut: int, half_life: float, most: int, weight_of: dict
) -> Pairs:
    weight: Pairs = defaultdict(float)
    for pair, sessions in sessions_of.items():
        for (age, kind), times in sessions.items():
            weight[pair] += times * weight_of[kind] * 0.5 ** ((age - cut) / half_life)
    kept: Pairs = {}
    for query in {query for query, _ in weight}:
        mine = sorted((-np.float32(round(weight[pair], 9)), pair) for pair in weight if pair[0] == query)
        kept |= {pair: -negative for negative, pair in mine[:most]}
    return kept


SOURCES = st.sampled_from([None, None, None, "a", "b", "x"])
CLICK = st.tuples(
    st.integers(0, 6), st.sampled_from("stuvw"), st.sampled_from("abcdxy"), SOURCES, st.sampled_from(EVENT_TYPES)
)
TRAINABLE = [Click(0, "last", "a", None), *(Click(6, f"{n}", product, None) for n in range(3) for product in "ab")]


@given(
    clicks=st.lists(CLICK, max_size=40), max_session_products=st.integers(2, 5), min_support=st.integers(1, 3),
    half_life_days=st.sampled_from([0.5, 3.0, 45.0]), max_related=st.integers(1, 5),
)  # fmt: skip
@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_step_gives_what_the_reference_gives(place: Settings, clicks: list[tuple], **chosen: float) -> None:
    weight_of = {"view": 1.0, "add_to_cart": 1.5, "purchase": 4.0}
    ids, settings = "abcd", place.model_copy(update={**chosen, "weight_of": weight_of, "window_days": 7})
    settings = settings.model_copy(update={"storage_url": f"memory://{uuid4().hex}"})
    clicks = [*map(Click._make, clicks), *TRAINABLE]
    sell(settings, ids)
    aggregate(settings, clicks)
    build(settings)
    training, held_out, window = (
        sessions_by_pair(clicks, ids, days, settings) for days in (range(2, 7), range(2), range(7))
    )
    expected = weights(training, 1, settings.half_life_days, settings.max_related, weight_of)
    assert stored_pairs(settings, "training") == pytest.approx(expected)
    assert stored_pairs(settings, "held_out") == pytest.approx(weights(held_out, 0, np.inf, len(ids), weight_of))
    by_age: dict[tuple[str, str, int], float] = defaultdict(float)
    for pair, sessions in window.items():
        for (age, kind), times in sessions.items():
            by_age[*pair, age] += times * weight_of[kind]
    held = Counter((product, age) for age, _, product in {click[:3] for click in clicks} if product in ids)
    assert stored_by_age(settings, ids) == (pytest.approx(by_age), held)
    groups = stored_groups(settings)
    counted = {pair: sessions.total() for pair, sessions in held_out.items()}
    assert pairs_of(groups.all.shared_PP, ids) == counted
    assert dict(zip(ids, groups.all.sessions_P.tolist(), strict=True)) == {
        product: sum(held[product, age] for age in range(2)) for product in ids
    }
    assert groups.all.sessions == len({click[:2] for click in clicks if click.days_ago < 2})


def many_clicks(sessions: int, size: int, products: int) -> list[Click]:
    """Sessions of a few popular and many rare products, spread over nine days."""
    chance, clicks = np.random.default_rng(7), sessions * size
    ages = np.repeat(chance.integers(0, 9, sessions), size)
    ranks = np.minimum(chance.zipf(1.2, clicks), products) - 1
    return [
        Click(age, str(place // size), f"p{rank}", None)
        for place, (age, rank) in enumerate(zip(ages.tolist(), ranks.tolist(), strict=True))
    ]


def test_the_same_aggregates_give_the_same_bytes_whatever_the_threads_and_the_memory(
    place: Settings, monkeypatch
) -> None:
    sell(place, (f"p{number}" for number in range(3_000)))
    aggregate(place, many_clicks(1_000, 8, 3_000))
    before, hashes = numba.get_num_threads(), set()
    try:
        for threads in range(1, before + 1):
            numba.set_num_threads(threads)
            build(place)
            hashes.add(Storage(place.storage_url).read(f"nights/night={NIGHT}/interactions").hash)
    finally:
        numba.set_num_threads(before)
    ranges = Mock(wraps=WindowCooccurrence.of_queries)
    monkeypatch.setattr(WindowCooccurrence, "of_queries", ranges)
    monkeypatch.setattr(step, "BYTES_OF_AN_ENTRY", 2**20)  # memory for 2,560 entries
    build(place)
    hashes.add(Storage(place.storage_url).read(f"nights/night={NIGHT}/interactions").hash)
    assert ranges.call_count > 5
    assert len(hashes) == 1
