"""What readers saw, judged on the days that they saw it, against counting by hand."""

import itertools
import math
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
import scipy.sparse as sp
import sqlalchemy as sa

from eclare.evaluation.metrics import inverse_propensities
from eclare.model.data import Interactions
from eclare.related.cooccurrence import Cooccurrence
from tasks.night import Night
from tasks.report.while_live import judge_while_live
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.steps.report_night import report_night
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tests.nights import make_night, roll_back, rows_of, with_lenient_gate

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

IDS = [str(number) for number in range(1, 9)]
TITLES = {product: f"product {product}" for product in IDS}
FIRST = {"1": ["2", "3"], "2": ["1", "8"], "3": ["1"], "5": ["6"]}
SECOND = {"1": ["4"], "2": ["4", "3"], "4": ["1", "2"], "6": ["5"]}
NIGHT = date(2017, 6, 30)
STORED = "select day::text, version_id, metric, value from live_metric order by day, metric"


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


def sessions_of(seed: int) -> dict[date, list[list[str]]]:
    """Twelve sessions of two or three products on each of the night's last eight days."""
    random = np.random.default_rng(seed)
    days = [NIGHT - timedelta(days=age) for age in range(8)]
    return {day: [random.choice(IDS, random.integers(2, 4), replace=False).tolist() for _ in range(12)] for day in days}


def deliver(settings, sessions: dict[date, list[list[str]]], night: date = NIGHT, known: list[str] = IDS) -> Night:
    """The night's interactions as build_interactions leaves them; known: the products of its catalogue."""
    chosen = [(listed, (night - day).days) for day, lists in sessions.items() for listed in lists if day <= night]
    held = np.array([[product in listed for product in known] for listed, _ in chosen], np.float32)
    counts = Cooccurrence.of_sessions(sp.csr_matrix(held), np.array([age for _, age in chosen]), settings.min_support)
    of_day, storage = Night.of(night, settings), Storage(settings.storage_url)
    with storage.write(of_day.artefact("interactions")) as (folder, _):
        counts.save(folder)
        (folder / "training").mkdir()
        Interactions(training(known), np.array(known), np.array(known)).save(folder / "training")
    return of_day


def training(known: list[str]) -> sp.csr_matrix:
    """Product 1 is related to all others, 2 to all but itself and 1, and so on: each is rarer than the one before."""
    return sp.csr_matrix(np.triu(np.ones((len(known), len(known)), np.float32), 1))


def publish(settings, night: str, related, live_from: str) -> int:
    """A version that became live at a time of the past."""
    version = int(publish_recommendations(make_night(night, settings, related, TITLES), settings)["version"])
    moved(settings, live_from)
    return version


def moved(settings, at: str) -> None:
    """The last move of the pointer happened at that time (UTC)."""
    with transaction(settings) as connection:
        last = "(select max(change_id) from live_version_change)"
        query = sa.text(
            f"update live_version_change set changed_at = cast(:at as timestamptz) where change_id = {last}"
        )
        connection.execute(query, {"at": f"{at}Z"})


def judged(settings, night: Night):
    with transaction(settings) as connection:
        return judge_while_live(connection, night, Storage(settings.storage_url))


def figures_slowly(lists: dict[str, list[str]], sessions: list[list[str]]) -> dict[str, float]:
    """P, nDCG, PSP and lift at 10 of one day's pairs with two sessions or more; and who has a list."""
    weight = dict(zip(IDS, inverse_propensities(training(IDS)), strict=True))
    held = Counter(itertools.chain(*sessions))
    shared = Counter(pair for listed in sessions for pair in itertools.permutations(listed, 2))
    true = {query: {b for (a, b), count in shared.items() if a == query and count >= 2} for query in IDS}
    queries = [query for query in IDS if true[query]]
    earned, psp_possible = Counter(), 0.0
    for query in queries:
        listed = lists.get(query, [])
        discount = [1 / math.log2(place + 2) for place in range(10)]
        gain = {
            related: math.log(1 + lift)
            for related in true[query]
            if (lift := shared[query, related] * len(sessions) / (held[query] * held[related])) >= 1
        }
        best = sum(d * g for d, g in zip(discount, sorted(gain.values(), reverse=True), strict=False))
        hits = [place for place, related in enumerate(listed) if related in true[query]]
        earned["P"] += len(hits) / 10
        earned["nDCG"] += sum(discount[place] for place in hits) / sum(discount[: len(true[query])])
        earned["PSP"] += sum(weight[listed[place]] for place in hits)
        psp_possible += sum(weight[related] for related in true[query])
        earned["lift"] += sum(discount[place] * gain.get(listed[place], 0) for place in hits) / best if best else 0
        earned["listed"] += bool(listed)
    possible = dict.fromkeys(("P", "nDCG", "lift", "listed"), len(queries)) | {"PSP": psp_possible}
    return {metric: earned[metric] / possible[metric] for metric in possible}


def test_each_day_is_judged_by_the_version_that_was_live_for_most_of_it(settings):
    sessions = sessions_of(0)
    one = publish(settings, "2017-06-24", FIRST, "2017-06-25 05:00")
    two = publish(settings, "2017-06-26", SECOND, "2017-06-28 11:00")
    counted = judged(settings, deliver(settings, sessions))
    seen = {25: (one, FIRST), 26: (one, FIRST), 27: (one, FIRST)} | dict.fromkeys((28, 29, 30), (two, SECOND))
    slowly = {
        (f"2017-06-{day}", version, metric): value
        for day, (version, lists) in seen.items()
        for metric, value in figures_slowly(lists, sessions[date(2017, 6, day)]).items()
    }
    stored = {tuple(key): value for *key, value in rows_of(settings, STORED)}
    assert stored == pytest.approx(slowly), "nothing was live on 2017-06-24"
    assert counted == (6, [])
    hours = dict(rows_of(settings, "select extract(day from day)::int, live_hours from live_metric where k = 0"))
    assert hours == {25: 19, 26: 24, 27: 24, 28: 13, 29: 24, 30: 24}
    assert rows_of(settings, "select count(*) from live_metric where value not between low and high") == [(0,)]


def test_a_version_of_the_day_itself_and_one_that_was_live_for_half_a_day_are_not_judged(settings):
    publish(settings, "2017-06-28", FIRST, "2017-06-28 09:00")  # of a day that had not ended
    publish(settings, "2017-06-29", SECOND, "2017-06-29 12:00")
    assert judged(settings, deliver(settings, sessions_of(1))).days == 1
    assert rows_of(settings, "select distinct day::text from live_metric") == [("2017-06-30",)]


def test_stretches_of_one_day_count_together(settings):
    one = publish(settings, "2017-06-27", FIRST, "2017-06-28 05:00")
    publish(settings, "2017-06-28", SECOND, "2017-06-29 07:00")
    roll_back(settings, "odd titles")
    moved(settings, "2017-06-29 13:00")
    judged(settings, deliver(settings, sessions_of(2)))
    hours = "select version_id, live_hours from live_metric where day = '2017-06-29' and k = 0"
    assert rows_of(settings, hours) == [(one, 18)], "seven hours, and eleven after the rollback"


def test_a_past_night_that_is_published_later_is_not_judged_on_days_on_which_nobody_saw_it(settings):
    publish_recommendations(make_night("2017-06-25", settings, FIRST, TITLES), settings)
    assert judged(settings, deliver(settings, sessions_of(3))) == (0, [])
    assert rows_of(settings, STORED) == []


def test_late_clicks_change_a_day_and_an_older_night_changes_nothing(settings):
    sessions, late = sessions_of(4), sessions_of(4)
    publish(settings, "2017-06-24", FIRST, "2017-06-25 05:00")
    before = deliver(settings, sessions, NIGHT - timedelta(days=1))
    judged(settings, before)
    once = rows_of(settings, STORED)
    judged(settings, before)
    assert rows_of(settings, STORED) == once, "a second run"
    day = NIGHT - timedelta(days=2)
    late[day] += [["5", "6"], ["5", "6"]]
    judged(settings, deliver(settings, late))
    value = "select value from live_metric where day = :day and metric = 'nDCG'"
    assert rows_of(settings, value, day=day) == [(pytest.approx(figures_slowly(FIRST, late[day])["nDCG"]),)]
    now = rows_of(settings, STORED)
    assert now != once and len(now) == len(once) + 5, "one day more"
    judged(settings, before)
    assert rows_of(settings, STORED) == now, "it has not seen the late clicks"


def test_a_version_without_rows_is_said_and_what_was_judged_stays(settings):
    one = publish(settings, "2017-06-24", FIRST, "2017-06-25 05:00")
    night = deliver(settings, sessions_of(5))
    judged(settings, night)
    before = rows_of(settings, STORED)
    with transaction(settings) as connection:
        connection.execute(sa.text("update recommendation_version set dropped_at = now()"))
    days, not_judged = judged(settings, night)
    assert days == 0 and len(not_judged) == 6
    assert not_judged[0] == f"2017-06-25: version {one} was live, but its rows were dropped (KEEP_VERSIONS, KEEP_DAYS)"
    assert rows_of(settings, STORED) == before


def test_a_day_without_pairs_and_a_night_without_interactions_are_said_in_the_report(settings):
    publish(settings, "2017-06-24", FIRST, "2017-06-25 05:00")
    night = Night.of(NIGHT, settings)
    assert report_night(night, settings)["live_days_not_judged"] == 6
    sessions = sessions_of(6)
    sessions[NIGHT] = [["1", "2"], ["3", "4"]]
    assert judged(settings, deliver(settings, sessions)).not_judged == [
        "2017-06-30: version 1 was live, but no two products shared 2 sessions or more (MIN_SUPPORT)"
    ]
    counts = report_night(night, settings)
    assert (counts["live_days_judged"], counts["live_days_not_judged"]) == (5, 1)
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(night.artefact("report"))) as folder:
        html = (folder / "report.html").read_text(encoding="utf-8")
    assert "2017-06-30: version 1 was live, but no two products shared 2 sessions" in html
    assert "Lists that were live, judged on that day" in html and "7 days up to 2017-06-29" in html
    ((value,),) = rows_of(
        settings, "select value_of_7_days from metrics_while_live where day = '2017-06-29' and metric = 'lift'"
    )
    assert f"<dt>lift@10 while live, 7 days</dt><dd>{value:.3f}</dd>" in html


def test_counts_of_older_code_are_said(settings):
    publish(settings, "2017-06-24", FIRST, "2017-06-25 05:00")
    night = deliver(settings, sessions_of(6))
    storage = Storage(settings.storage_url)
    with (
        storage.open(storage.read(night.artefact("interactions"))) as old,
        storage.write(night.artefact("interactions")) as (folder, _),
    ):
        (folder / "training").mkdir()
        Interactions.load(old / "training").save(folder / "training")
        np.savez(folder / "cooccurrence.npz", products=8)
    assert "is of older code" in judged(settings, night).not_judged[0]


def test_a_related_product_that_the_catalogue_lacks_by_then_keeps_its_place(settings):
    sessions = {NIGHT: [["1", "3"], ["1", "3"]]}
    publish(settings, "2017-06-28", {"1": ["2", "3"], "3": ["4"]}, "2017-06-29 05:00")
    judged(settings, deliver(settings, sessions, known=["1", "3", "4"]))
    value = dict(rows_of(settings, "select metric, value from live_metric"))
    assert value["nDCG"] == pytest.approx((1 / math.log2(3)) / 2), "of 1 at the second place, of 3 nowhere"
    assert value["P"] == pytest.approx(0.05)


def test_seven_days_are_added_up(settings):
    publish(settings, "2017-06-20", FIRST, "2017-06-21 00:00")
    sessions = sessions_of(7)
    del sessions[date(2017, 6, 27)]
    for night in (NIGHT - timedelta(days=2), NIGHT):
        judged(settings, deliver(settings, sessions, night))
    stored = rows_of(settings, "select day, metric, earned, possible, queries from live_metric")
    assert len({day for day, *_ in stored}) == 7, "23 to 30 without 27"
    for day, metric, value, queries in rows_of(
        settings, "select day, metric, value_of_7_days, queries_of_7_days from metrics_while_live"
    ):
        week = [row for row in stored if row[1] == metric and day - timedelta(days=6) <= row[0] <= day]
        assert value == pytest.approx(sum(row[2] for row in week) / sum(row[3] for row in week))
        assert queries == sum(row[4] for row in week)
