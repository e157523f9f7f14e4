"""A user is forgotten: nothing of them is left in any file or table, and what others did stays."""

import gzip
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from tasks.errors import BadInput
from tasks.ingest.quarantine import CONTENT, QUARANTINE
from tasks.night import Night
from tasks.operations.erase import erase
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate_clicks
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tests.installations import Installation

pytestmark = pytest.mark.slow

DAYS = [date(2017, 6, 29), date(2017, 6, 30)]
USER = "user-4711-to-forget"
HEADER = "event_time,session_id,product_id,user_id,event_type,event_id,note"


def lines(day: date) -> list[str]:
    before = day - timedelta(days=1)
    return [
        f"{day} 10:00:00,s1,a,{USER},view,,",
        f"{day} 10:00:01,s1,b,,view,,",  # before or after logging in
        f"{day} 10:00:02,s1,c,other,view,,",
        f"{day} 10:00:03,s2,a,other,view,,",
        f"{day} 10:00:04,s2,d,other,view,,",
        f"{day} 10:00:05,s3,d,,view,,",
        f"{before} 10:00:05,late,e,{USER},view,,",
        f"{before} 10:00:06,late,f,other,view,,",
        f"{day} 10:00:00,s1,x,{USER},hover,,",
        f"{day} 10:00:00,s1,y,,hover,,",
        f"{day} 10:00:00,s2,y,other,hover,,mentions {USER} in a note",
        f"{day},broken by {USER}",
    ]


@pytest.fixture(scope="module")
def shop(install: Callable[[str], Installation], embedded_server: str) -> Installation:
    made = install(embedded_server)
    for day in DAYS:
        folder = Path(made.settings.click_log_url, f"date={day}")
        folder.mkdir(parents=True)
        (folder / "log.csv.gz").write_bytes(gzip.compress("\n".join([HEADER, *lines(day)]).encode()))
        load(made.settings, day)
    return made


@pytest.fixture
def loaded(settings: Settings, shop: Installation, tmp_path: Path) -> Iterator[Settings]:
    with shop.copied_to(tmp_path) as mine:
        yield settings.model_copy(update={"database_url": mine.database_url})


def load(settings: Settings, day: date) -> dict[str, float]:
    counts = ingest_clicks(Night.of(day, settings), settings)
    aggregate_clicks(Night.of(day, settings), settings)
    return counts


def clicks_of(settings: Settings, day: date, part: str = "clicks") -> set[tuple[str, str, str | None]]:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.clicks(day))) as folder:
        rows = pq.read_table(folder / part, partitioning=None).to_pylist()
    return {(row["session_id"], row["product_id"], row["user_id"]) for row in rows}


def aggregate_of(settings: Settings, day: date) -> tuple[dict[str, int], set[tuple[str, str]]]:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.aggregate(day))) as folder:
        products = pq.read_table(folder / "products.parquet").to_pylist()
        pairs = pq.read_table(folder / "together.parquet").to_pylist()
    ids = [row["product_id"] for row in products]
    return {row["product_id"]: row["sessions"] for row in products}, {
        (ids[p["product_i"]], ids[p["product_j"]]) for p in pairs
    }


def texts_in_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file as bytes, and what Parquet files hold, since they are compressed."""
    for file in folder.rglob("*"):
        if file.is_file():
            yield file, file.read_bytes().decode("latin-1")
            if file.suffix == ".parquet":
                yield file, str(pq.read_table(file, partitioning=None).to_pylist())


def texts_in_tables(settings: Settings) -> Iterator[tuple[str, str]]:
    tables = sa.text("select table_name from information_schema.tables where table_schema = current_schema()")
    with transaction(settings) as connection:
        for table in connection.scalars(tables).all():
            yield table, str(connection.execute(sa.text(f'select * from "{table}"')).all())


def test_no_file_and_no_table_names_the_user_afterwards(loaded: Settings) -> None:
    assert any(USER in text for _, text in texts_in_files(Path(loaded.storage_url)))
    totals = erase(USER, "asked for it on 2026-11-25", loaded)
    assert totals == {"days": 2, "clicks": 2 * 3, "quarantined": 2 * 4}
    assert [file for file, text in texts_in_files(Path(loaded.storage_url)) if USER in text] == []
    assert [table for table, text in texts_in_tables(loaded) if USER in text] == []


def test_the_clicks_of_others_stay(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    others = {("s1", "c", "other"), ("s2", "a", "other"), ("s2", "d", "other"), ("s3", "d", None)}
    assert clicks_of(loaded, DAYS[1]) == others
    assert clicks_of(loaded, DAYS[1], f"late/date={DAYS[0]}") == {("late", "f", "other")}
    products, pairs = aggregate_of(loaded, DAYS[1])
    assert products == {"a": 1, "c": 1, "d": 2}
    assert pairs == {("a", "d")}
    assert aggregate_of(loaded, DAYS[0])[0] == {"a": 1, "c": 1, "d": 2, "f": 1}


def test_quarantined_rows_lose_what_they_said_and_still_count(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    storage = Storage(loaded.storage_url)
    with storage.open(storage.read(Night.clicks(DAYS[1]))) as folder:
        rows = pq.read_table(folder / QUARANTINE).to_pylist()
    assert [(row["rule"], row["row"]) for row in rows] == [
        ("unknown_event_type", 10), ("unknown_event_type", 11), ("unknown_event_type", 12), ("unreadable_line", 13),
    ]  # fmt: skip
    assert all(row[name] is None for row in rows for name in CONTENT)


def test_the_database_keeps_hash_reason_and_counts(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    with transaction(loaded) as connection:
        (row,) = connection.execute(sa.text("select * from erasure")).mappings()
        days = connection.execute(sa.text("select day, clicks, quarantined from erasure_day order by day")).all()
    assert (row["reason"], len(row["user_hash"])) == ("asked", 64)
    assert [tuple(day) for day in days] == [(DAYS[0], 3, 4), (DAYS[1], 3, 4)]


def test_a_later_load_leaves_the_user_out(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    counts = load(loaded, DAYS[1])
    assert counts["erased_user"] == 3
    assert counts["rows_read"] == counts["accepted"] + counts["quarantined"] + counts["duplicates"] == 12
    assert not {user for _, _, user in clicks_of(loaded, DAYS[1])} & {USER}
    assert [file for file, text in texts_in_files(Path(loaded.storage_url)) if USER in text] == []


def test_the_clicks_of_a_rejected_load_too(loaded: Settings) -> None:
    strict = loaded.model_copy(update={"max_quarantined_share": 0.1})
    with pytest.raises(BadInput):
        ingest_clicks(Night.of(DAYS[1], strict), strict)
    assert Storage(loaded.storage_url).complete(Night.rejected(DAYS[1]))
    erase(USER, "asked", loaded)
    assert [file for file, text in texts_in_files(Path(loaded.storage_url)) if USER in text] == []


def test_what_a_killed_writer_left_goes_too(loaded: Settings) -> None:
    leftover = Path(loaded.storage_url, Night.clicks(DAYS[0]) + ".writing-0badcafe")
    leftover.mkdir()
    pq.write_table(pa.table({"user_id": [USER]}), leftover / "part-0.parquet")
    erase(USER, "asked", loaded)
    assert not leftover.exists()


def test_a_user_that_nobody_knows_is_remembered_all_the_same(loaded: Settings) -> None:
    before = {day: Storage(loaded.storage_url).read(Night.clicks(day)).hash for day in DAYS}
    assert erase("nobody", "asked", loaded) == {"days": 0, "clicks": 0, "quarantined": 0}
    assert {day: Storage(loaded.storage_url).read(Night.clicks(day)).hash for day in DAYS} == before


@pytest.mark.parametrize(("user", "reason"), [("", "asked"), (" ", "asked"), (USER, " "), (USER, f"{USER} asked")])
def test_an_erasure_without_user_or_reason_is_refused(loaded: Settings, user: str, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        erase(user, reason, loaded)
    assert USER not in str(refused.value)
