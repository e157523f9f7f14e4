"""A log that has users and no sessions: events of a user less than SESSION_GAP_MINUTES apart are one."""

import json
import random
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import BadInput
from tasks.night import Night
from tasks.settings import Settings
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.stores.artefacts import Storage

DAY = date(2017, 6, 30)
MIDNIGHT = datetime(2017, 6, 30)


@pytest.fixture
def log(settings: Settings) -> Path:
    folder = Path(settings.click_log_url, f"date={DAY}")
    folder.mkdir(parents=True)
    return folder


def ingested(settings: Settings) -> list[tuple[str, str | None, str]]:
    """User, session and product of every accepted click."""
    ingest_clicks(Night.of(DAY, settings), settings)
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.clicks(DAY))) as folder:
        rows = pq.read_table(folder / "clicks", partitioning=None).to_pylist()
    return sorted((row["user_id"], row["session_id"], row["product_id"]) for row in rows)


def slow_sessions(events: list[tuple[str, datetime]], gap: timedelta) -> list[str]:
    """The same, one event after the other."""
    last: dict[str, tuple[datetime, datetime]] = {}
    names = {}
    for number in sorted(range(len(events)), key=lambda number: events[number][1]):
        user, time = events[number]
        begin, before = last.get(user, (time, datetime.min))
        begin = begin if time - before < gap else time
        last[user] = begin, time
        names[number] = f"{user} {int((begin - datetime(1970, 1, 1)).total_seconds())}"
    return [names[number] for number in range(len(events))]


def test_sessions_are_those_of_a_slow_way(log: Path, settings: Settings) -> None:
    chance = random.Random(3)
    moments = [timedelta(minutes=chance.randrange(1440), microseconds=chance.choice([0, 1])) for _ in range(300)]
    events = [(f"u{chance.randrange(6)}", MIDNIGHT + moment) for moment in moments]
    events += [("edge", MIDNIGHT + timedelta(minutes=minutes)) for minutes in (0, 20, 39.99)]
    users, times = map(list, zip(*events, strict=True))
    products = [str(number) for number in range(len(events))]
    pq.write_table(pa.table({"user_id": users, "event_time": times, "product_id": products}), log / "a.parquet")
    for minutes in (20, 0.5):
        expected = slow_sessions(events, timedelta(minutes=minutes))
        found = ingested(settings.model_copy(update={"session_gap_minutes": minutes}))
        assert found == sorted(zip(users, expected, products, strict=True))


@pytest.mark.parametrize("ours", [{"user_id": "USER_ID"}, {"user_id": "USER_ID", "session_id": "USER_ID"}])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_log_of_user_item_and_time(log: Path, settings: Settings, ours: dict[str, str], suffix: str) -> None:
    columns = ours | {"product_id": "ITEM_ID", "event_time": "TIMESTAMP"}
    file = settings.state_folder.with_name("format.json")
    file.write_text(json.dumps({"columns": columns, "time_unit": "s"}))
    rows = [
        ("7", "a", 1498816800),
        ("7", "b", 1498816800 + 1799),
        ("7", "c", 1498816800 + 3599),
        ("8", "a", 1498816800),
    ]
    if suffix == "csv":
        text = "USER_ID,ITEM_ID,TIMESTAMP\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows)
    else:
        text = "".join(json.dumps({"USER_ID": u, "ITEM_ID": i, "TIMESTAMP": t}) + "\n" for u, i, t in rows)
    (log / f"interactions.{suffix}").write_text(text)
    assert ingested(settings.model_copy(update={"log_format": file})) == [
        ("7", "7 1498816800", "a"), ("7", "7 1498816800", "b"), ("7", "7 1498820399", "c"), ("8", "8 1498816800", "a"),
    ]  # fmt: skip


def test_a_blank_session_of_a_log_that_has_sessions_is_refused_as_ever(log: Path, settings: Settings) -> None:
    header = "event_time,session_id,product_id,user_id\n"
    (log / "a.csv").write_text(f"{header}{DAY},s,a,u\n{DAY},,b,u\n")
    (log / "b.csv").write_text(f"event_time,product_id,user_id\n{DAY},c,u\n{DAY},d,\n")
    assert ingested(settings) == [("u", "s", "a"), ("u", "u 1498780800", "c")]
    storage = Storage(settings.storage_url)
    assert storage.read(Night.clicks(DAY)).counts["empty_session"] == 2


def test_a_log_with_neither_is_told(log: Path, settings: Settings) -> None:
    (log / "a.csv").write_text(f"event_time,product_id\n{DAY},c\n")
    with pytest.raises(BadInput, match="has no column session_id or user_id; its columns are event_time, product_id"):
        ingested(settings)
