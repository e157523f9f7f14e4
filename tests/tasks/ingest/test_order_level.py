"""Orders whose further rows leave blank what the first one says, such as its time and its user."""

import csv
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.ingest.log_format import LogFormat
from tasks.ingest.quarantine import QUARANTINE
from tasks.operations.split_by_day import split_by_day
from tasks.settings import Settings
from tests.tasks.steps.test_ingest_clicks import deliver, ingest, rules, stored

HEADER = "Name,Email,Created at,Lineitem sku\n"
ORDERS = (
    f"{HEADER}#1,a@b.example,2017-06-30 12:00:00 +0200,M-1\n"
    "#1,,,M-2\n"
    "#2,,,M-1\n"  # whose first row is itself blank
    "#2,b@b.example,2017-06-30 13:00:00 +0200,M-3\n"
    "#1,,soon,M-4\n"  # a time that cannot be read is none that is left blank
    "#3,c@b.example,2017-06-30 14:00:00 +0200,M-1\n"
    "#2,,,M-4\n"
    ",,,M-5\n"
    "#1,d@b.example,,M-3\n"
)


@pytest.fixture
def shopify(settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "format.json").write_text('{"preset": "shopify"}')
    return settings.model_copy(update={"log_format": tmp_path / "format.json", "max_quarantined_share": 0.9})


def test_further_rows_have_the_time_and_the_user_of_the_first(shopify: Settings) -> None:
    deliver(shopify, "orders.csv", ORDERS.encode())
    deliver(shopify, "others.csv", f"{HEADER}#3,,,M-9\n".encode())  # of another file, and so of no order with a time
    counts = ingest(shopify)
    taken = [
        (row["session_id"], row["product_id"], row["user_id"], f"{row['event_time']:%H:%M}") for row in stored(shopify)
    ]
    assert taken == [
        ("#1", "M-1", "a@b.example", "10:00"), ("#1", "M-2", "a@b.example", "10:00"),
        ("#1", "M-3", "d@b.example", "10:00"), ("#2", "M-3", "b@b.example", "11:00"),
        ("#3", "M-1", "c@b.example", "12:00"),
    ]  # fmt: skip
    refused = [(row["file"], row["row"], row["rule"], row["user_id"]) for row in stored(shopify, QUARANTINE)]
    assert refused == [
        ("orders.csv", 4, "missing_time", None), ("orders.csv", 6, "unparsable_time", "a@b.example"),
        ("orders.csv", 8, "missing_time", None), ("orders.csv", 9, "empty_session", None),
        ("others.csv", 2, "missing_time", None),
    ]  # fmt: skip
    assert counts["from_order"] == 2
    assert ("from_order", "accepted", 2) in rules(shopify)


def test_an_export_of_many_days_is_divided_with_them(shopify: Settings, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(ORDERS)
    counts = split_by_day(tmp_path / "orders.csv", tmp_path / "clicks", None, shopify)
    assert (counts["rows"], counts["rows_from_order"], counts["rows_without_a_time"]) == (9, 3, 4)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_it_is_what_a_slow_way_gives(settings: Settings, tmp_path: Path, kind: str) -> None:
    chance, rows = random.Random(5), []
    for number in range(400):
        time = chance.choice(["", f"2017-06-30 10:{number % 60:02}:00"])
        rows.append([f"o{chance.randrange(90)}", time, chance.choice(["", f"u{number}"]), f"p{number}"])
    first: dict[str, list[str]] = {}
    expected = []
    for session, time, user, product in rows:
        of_order = first.setdefault(session, [time, user])
        if time or of_order[0]:
            expected.append((session, (time or of_order[0])[:19], user or of_order[1] or None, product))
    names = ["session_id", "event_time", "user_id", "product_id"]
    if kind == "csv":
        with (tmp_path / "log.csv").open("w") as content:
            csv.writer(content).writerows([names, *rows])
    else:
        pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), tmp_path / "log.parquet")
    (tmp_path / "format.json").write_text(json.dumps({"order_level": ["event_time", "user_id"]}))
    settings = settings.model_copy(update={"log_format": tmp_path / "format.json"})
    deliver(settings, f"log.{kind}", (tmp_path / f"log.{kind}").read_bytes())
    ingest(settings)
    found = [
        (row["session_id"], str(row["event_time"])[:19], row["user_id"], row["product_id"]) for row in stored(settings)
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"order_level": ["product_id"]}, "order_level must be among event_time, user_id, event_type, got product_id"),
        (
            {"order_level": ["event_time"], "columns": {"session_id": "u", "user_id": "u"}},
            "order_level needs orders under session_id",
        ),
    ],
)
def test_what_cannot_be_of_an_order(said: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogFormat.model_validate(said)
