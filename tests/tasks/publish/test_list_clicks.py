"""Clicks on shown lists: from the log to rates with intervals that say when two channels differ beyond chance."""

import json
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.ingest.quarantine import QUARANTINE
from tasks.ingest.shown_lists import SHOWN
from tasks.night import Night
from tasks.operations.erase import erase
from tasks.publish.channels import point_channel
from tasks.publish.list_clicks import count_list_clicks
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate_clicks
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import transaction
from tests.nights import OTHER, RELATED, make_night, rows_of, with_lenient_gate
from tests.tasks.steps.test_ingest_clicks import DAY, Row, click, deliver, stored

LISTS = {1: RELATED, 2: OTHER}
RATES = """select version_id, channel, rank, source, sessions::int, shown::int, clicked::int, rate
from click_rates() order by version_id, channel, rank, source"""


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Version 1 of RELATED on channel b, version 2 of OTHER live."""
    settings = with_lenient_gate(settings, monkeypatch)
    for day, related in (("2017-06-28", RELATED), ("2017-06-29", OTHER)):
        publish_recommendations(make_night(day, settings, related), settings)
    point_channel(settings, "b", "last night's lists", version_id=1, share=0.5)
    return settings


def view(page: str, version: object, session: str = "s1", **more: object) -> Row:
    return click(product_id=page, session_id=session, event_type="recommendation_view", list_version_id=version) | more


def chosen(page: str, product: str, version: object, session: str = "s1", **more: object) -> Row:
    event = {"event_type": "recommendation_click", "source_product_id": page, "list_version_id": version}
    return click(product_id=product, session_id=session) | event | more


def counted(settings: Settings, *rows: Row, name: str = "log.jsonl", day: date = DAY) -> dict[str, float]:
    deliver(settings, name, list(rows), day)
    counts = ingest_clicks(Night.of(day, settings), settings)
    return counts | aggregate_clicks(Night.of(day, settings), settings)


def expected(rows: list[Row]) -> list[tuple]:
    """Each list that a session was shown once, and each of its places, by whether the session clicked it."""
    shown, clicked = set(), set()
    for row in rows:
        page = row.get("source_product_id") or row["product_id"]
        of_list = (row["session_id"], int(str(row["list_version_id"])), row.get("list_channel") or "default", page)
        shown.add(of_list)
        if row["event_type"] == "recommendation_click":
            clicked.add((*of_list, row["product_id"]))
    units = defaultdict(list)
    for of_list in shown:
        session, version, channel, page = of_list
        places = [(*of_list, product) in clicked for product in LISTS[version].get(page, [])]
        if places:
            units[version, channel, 0, "all"].append((session, any(places)))
            units[version, channel, 0, "model"] += [(session, place) for place in places]
        for rank, place in enumerate(places, 1):
            units[version, channel, rank, "all"].append((session, place))
    return sorted(
        (
            *cell,
            len({session for session, _ in seen}),
            len(seen),
            sum(hit for _, hit in seen),
            np.mean([hit for _, hit in seen]),
        )
        for cell, seen in units.items()
    )


def test_what_sessions_clicked_is_counted_by_version_channel_rank_and_source(settings: Settings) -> None:
    rows = [
        view("1", 2), view("1", 2, event_time="2017-06-30 11:00:00"),  # the page again
        view("2", "2"), chosen("2", "1", 2), chosen("2", "1", 2, event_time="2017-06-30 10:05:00"),
        view("2", 2, "s2"), chosen("2", "3", 2, "s2"), chosen("2", "1", 2, "s2"),
        chosen("4", "3", 1, "s3", list_channel="b"),  # its view was lost
        view("1", 1, "s3", list_channel="b"), chosen("1", "4", 1, "s3", list_channel="b"),  # which the list has not
        view("9", 2, "s4"),  # a page without a list
    ]  # fmt: skip
    counts = counted(settings, *rows, click(), click(product_id="2"))
    assert (counts["recommendation_event"], counts["accepted"], counts["pairs"]) == (12, 14, 1)
    assert rows_of(settings, RATES) == [pytest.approx(row) for row in expected(rows)]
    assert {row[:4] for row in rows_of(settings, RATES)} >= {(2, "default", 0, "all"), (1, "b", 2, "all")}
    by_day = rows_of(settings, "select day, channel, shown::int, clicked::int from click_rates_by_day order by channel")
    assert by_day == [(DAY, "b", 2, 1), (DAY, "default", 3, 2)]


def test_events_of_lists_count_for_no_pair_and_no_limit_of_a_session(settings: Settings) -> None:
    clicks = [click(product_id=product, session_id=session) for product in "12" for session in ("s1", "s2")]
    alone = counted(settings, *clicks)
    few = settings.model_copy(update={"bot_session_clicks": 2, "wholesale_session_products": 2})
    events = [view("1", 2), chosen("1", "4", 2)]
    beside = counted(few, *clicks, *events)
    assert {name: beside[name] for name in ("sessions", "products", "pairs")} == {
        name: alone[name] for name in ("sessions", "products", "pairs")
    }
    too_many = [view(page, 2, "robot") for page in "124"]
    assert counted(few, *clicks, *events, *too_many)["bot_session"] == 3
    assert {row[4] for row in rows_of(settings, RATES) if row[2] == 0} == {1}


def test_an_event_that_names_no_known_list_is_quarantined(settings: Settings) -> None:
    bad = [
        ("unknown_version", view("1", 7)), ("unknown_version", view("1", None)), ("unknown_version", view("1", "2; x")),
        ("unknown_channel", view("1", 2, list_channel="web")), ("missing_source_product", chosen("", "1", 2)),
    ]  # fmt: skip
    for _, row in bad[-1:]:
        row["source_product_id"] = None
    counts = counted(settings, *(row for _, row in bad), *(view("1", 2, f"s{number}") for number in range(9)), click())
    assert (counts["unknown_version"], counts["unknown_channel"], counts["missing_source_product"]) == (3, 1, 1)
    kept = stored(settings, QUARANTINE)
    assert [row["rule"] for row in kept] == [rule for rule, _ in bad]
    assert [row["rest"] for row in kept][:4] == [
        *("list_version_id=7", None, "list_version_id=2; x", "list_version_id=2; list_channel=web")
    ]


def test_late_events_and_another_load_count_a_day_again(settings: Settings) -> None:
    counted(settings, click(), view("1", 2))
    query = "select day, shown::int, clicked::int from click_rates_by_day order by day"
    assert rows_of(settings, query) == [(DAY, 1, 0)]
    late = chosen("1", "4", 2, event_time="2017-06-30 23:59:00")
    after = DAY + timedelta(days=1)
    counted(
        settings, late, click(event_time=f"{after} 10:00:00"), view("2", 2, event_time=f"{after} 10:00:00"), day=after
    )
    assert rows_of(settings, query) == [(DAY, 1, 1), (after, 1, 0)]
    counted(settings, click(event_time=f"{after} 10:00:00"), day=after)
    assert rows_of(settings, query) == [(DAY, 1, 0)]


def test_an_erased_user_leaves_the_lists_too(settings: Settings) -> None:
    theirs = [view("1", 2, "s1", user_id="u1"), chosen("1", "4", 2, "s1", user_id="u1"), click(user_id="u1")]
    counted(settings, *theirs, view("1", 2, "s2", user_id="u2"), click(session_id="s2", user_id="u2"))
    query = "select sessions::int, shown::int, clicked::int from click_rates_by_day"
    assert rows_of(settings, query) == [(2, 2, 1)]
    assert erase("u1", "asked", settings).counts["clicks"] == 3
    assert rows_of(settings, query) == [(1, 1, 0)]


def test_a_shop_s_own_names_are_read(settings: Settings, tmp_path: Path) -> None:
    log_format = {"columns": {"list_version_id": "ver"}, "event_types": {"carousel_seen": "recommendation_view"}}
    (tmp_path / "format.json").write_text(json.dumps(log_format))
    named = settings.model_copy(update={"log_format": tmp_path / "format.json"})
    row = view("1", None) | {"event_type": "carousel_seen", "ver": 2.0}
    deliver(named, "log.parquet", [row, click()])
    ingest_clicks(Night.of(DAY, named), named)
    aggregate_clicks(Night.of(DAY, named), named)
    assert rows_of(settings, "select shown::int, channel from click_rates_by_day") == [(1, "default")]


PAGES = list(OTHER)


def made_day(settings: Settings, day: date, lift: float, sessions: int = 600) -> None:
    """Sessions of two channels, some much keener than others, on channel b `lift` times as keen."""
    random = np.random.default_rng(day.toordinal())
    rows = []
    for session in range(sessions):
        channel = "b" if random.random() < 0.5 else "default"
        keenness = random.beta(0.3, 1.2) * (lift if channel == "b" else 1)
        for page in PAGES[: random.integers(1, 3)]:
            rows.append((session, 2, channel, page, None))
            if random.random() < keenness:
                rows.append((session, 2, channel, page, OTHER[page][0]))
    columns = [pa.array(column).cast(field.type) for column, field in zip(zip(*rows, strict=True), SHOWN, strict=True)]
    with transaction(settings) as connection:
        count_list_clicks(connection, day, pa.Table.from_arrays(columns, schema=SHOWN).to_reader(), settings)


def beyond_chance(settings: Settings, days: list[date]) -> list[bool]:
    return [
        found
        for day in days
        for (found,) in rows_of(settings, "select beyond_chance from compare_channels(:day, :day)", day=day)
    ]


def test_channels_that_are_alike_differ_as_often_as_chance_has_it_and_a_planted_difference_is_found(
    settings: Settings,
) -> None:
    alike = [DAY + timedelta(days=number) for number in range(40)]
    for day in alike:
        made_day(settings, day, 1)
    assert sum(beyond_chance(settings, alike)) <= 5, "2 of 40 are expected"
    naive = """select count(*) from (
        select abs(b.rate - a.rate) > 1.96 * sqrt(a.rate * (1 - a.rate) / a.shown + b.rate * (1 - b.rate) / b.shown)
        from click_rates_by_day as a join click_rates_by_day as b using (day)
        where a.channel = 'default' and b.channel = 'b'
    ) as day (found) where found"""
    ((without_sessions,),) = rows_of(settings, naive)
    assert without_sessions > sum(beyond_chance(settings, alike)), "clicks of a session go together"
    ((days, difference, found),) = rows_of(settings, "select days, difference, beyond_chance from compare_channels()")
    assert (days, found) == (40, False)
    assert abs(difference) < 0.015
    better = [DAY + timedelta(days=100 + number) for number in range(4)]
    for day in better:
        made_day(settings, day, 1.5)
    query = "select days, low, high from compare_channels(:first, :last)"
    ((days, low, high),) = rows_of(settings, query, first=better[0], last=better[-1])
    assert days == 4
    assert 0 < low < 0.1 < high
