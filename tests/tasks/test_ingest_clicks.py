import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.database import transaction
from tasks.errors import BadInput, NotReady
from tasks.ingest_clicks import COLUMNS, days_with_a_folder, ingest_clicks
from tasks.night import Night
from tasks.settings import Settings
from tasks.storage import Storage

DAY = date(2017, 6, 30)
Row = dict[str, object]


def click(**changes: object) -> Row:
    return {"event_time": "2017-06-30 10:00:00", "session_id": "s1", "product_id": "p1"} | changes


def as_parquet(rows: Sequence[Row]) -> bytes:
    buffer = io.BytesIO()
    names = list(dict.fromkeys(name for row in rows for name in row)) or COLUMNS
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), buffer)
    return buffer.getvalue()


def as_csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json_lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


FORMATS: dict[str, Callable[[Sequence[Row]], bytes]] = {
    ".parquet": as_parquet,
    ".csv": as_csv,
    ".csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    ".jsonl": as_json_lines,
    ".jsonl.gz": lambda rows: gzip.compress(as_json_lines(rows)),
    ".json": lambda rows: json.dumps(list(rows)).encode(),
    ".json.gz": lambda rows: gzip.compress(as_json_lines(rows)),
}


def deliver(settings: Settings, name: str, content: bytes | Sequence[Row], day: date = DAY) -> Path:
    file = Path(settings.click_log_url, f"date={day}", name)
    file.parent.mkdir(parents=True, exist_ok=True)
    suffix = next((suffix for suffix in FORMATS if name.endswith(suffix)), "")
    file.write_bytes(content if isinstance(content, bytes) else FORMATS[suffix](content))
    return file


def ingest(settings: Settings, day: date = DAY) -> dict[str, float]:
    return ingest_clicks(Night.of(day, settings), settings)


def stored(settings: Settings, name: str = "clicks.parquet", day: date = DAY) -> list[Row]:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.clicks(day))) as folder:
        rows: list[Row] = pq.read_table(folder / name).to_pylist()
    return rows


def ledger(settings: Settings) -> list[sa.RowMapping]:
    with transaction(settings) as connection:
        return list(connection.execute(sa.text("select * from ingest_ledger order by loaded_at")).mappings())


def refusal(settings: Settings) -> str:
    with pytest.raises(BadInput) as caught:
        ingest(settings)
    return str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_clicks(settings: Settings, suffix: str) -> None:
    rows = [
        click(product_id=1041453, session_id=31198570044, user_id=900, event_type="view"),
        click(product_id=26093, session_id=31198570044, user_id=900, event_type="purchase"),
    ]
    deliver(settings, f"log{suffix}", rows)
    assert ingest(settings) == {"files": 1, "rows_read": 2, "accepted": 2, "refused": 0, "duplicates": 0}
    absent = {"event_id": None, "source_product_id": None}
    common = {"event_time": datetime(2017, 6, 30, 10), "session_id": "31198570044", "user_id": "900"} | absent
    assert stored(settings) == [
        common | {"product_id": "1041453", "event_type": "view"},
        common | {"product_id": "26093", "event_type": "purchase"},
    ]
    assert tuple(stored(settings)[0]) == COLUMNS


def test_a_day_may_mix_formats_and_column_orders(settings: Settings) -> None:
    for place, suffix in enumerate(FORMATS):
        row = {"product_id": f"p{place}", "extra": "ignored", "session_id": "s", "event_time": "2017-06-30T10:00:00Z"}
        deliver(settings, f"part-{place}{suffix}", [row])
    deliver(settings, "_SUCCESS", b"")
    deliver(settings, ".part-0.csv.crc", b"")
    deliver(settings, "no-clicks.csv", b"")
    assert ingest(settings)["accepted"] == len(FORMATS)
    assert [row["product_id"] for row in stored(settings)] == [f"p{place}" for place in range(len(FORMATS))]


@pytest.mark.parametrize("suffix", FORMATS)
def test_ids_with_gaps_stay_whole_numbers(settings: Settings, suffix: str) -> None:
    """Columns with gaps are often written as floating point numbers: 1041453.0."""
    rows = [click(source_product_id=1041453.0), click(source_product_id=None, product_id="p2")]
    deliver(settings, f"log{suffix}", rows)
    ingest(settings)
    assert [row["source_product_id"] for row in stored(settings)] == ["1041453", None]


def test_text_ids_stay_as_they_are(settings: Settings) -> None:
    ids = ["0012", "1.0", "#7", " x ", "NULL", "1e5", "Ünï,\"'靴", "31198570044123456789"]
    deliver(settings, "log.parquet", [click(product_id=id_) for id_ in ids])
    ingest(settings)
    assert {row["product_id"] for row in stored(settings)} == set(ids)
    deliver(settings, "log.csv", [click(product_id=id_, session_id="s2") for id_ in ids if id_ != "1.0"])
    ingest(settings)
    assert {row["product_id"] for row in stored(settings) if row["session_id"] == "s2"} == set(ids) - {"1.0"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2017-06-30 10:00:00", "10:00:00"),
        ("2017-06-30T10:00:00Z", "10:00:00"),
        ("2017-06-30T10:00:00.250+02:00", "08:00:00.250000"),
        ("2017-07-01T01:30:00+0200", "23:30:00"),
        ("2017-06-29 23:00:00-01:00", "00:00:00"),
        ("2017-06-30", "00:00:00"),
    ],
)
def test_times_are_moved_to_utc(settings: Settings, written: str, read: str) -> None:
    deliver(settings, "log.csv", [click(event_time=written)])
    ingest(settings)
    assert stored(settings)[0]["event_time"] == datetime.fromisoformat(f"2017-06-30T{read}")


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_typed_times_of_any_unit_and_zone(settings: Settings, unit: str, zone: str | None) -> None:
    moment = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)
    times = pa.array([moment], pa.timestamp(unit, zone))
    file = deliver(settings, "log.parquet", b"")
    pq.write_table(pa.table({"event_time": times, "session_id": [1], "product_id": [2]}), file)
    ingest(settings)
    assert stored(settings)[0]["event_time"] == moment.replace(tzinfo=None)


def test_refused_rows_are_kept_with_their_reason(settings: Settings) -> None:
    bad = [
        ("missing_session", click(session_id=None)),
        ("missing_product", click(product_id=" ")),
        ("bad_event_time", click(event_time="noon")),
        ("bad_event_time", click(event_time=None)),
        ("bad_event_time", click(event_time="1498816800")),
        ("bad_event_time", click(event_time="2017-06-30 10:00:00 Europe/Berlin")),
        ("other_day", click(event_time="2017-07-01 00:00:00")),
        ("other_day", click(event_time="2017-06-30 01:00:00+02:00")),
        ("unknown_event_type", click(event_type="hover", extra="kept")),
    ]
    deliver(settings, "good.csv", [click(event_type=kind) for kind in ("view", "add_to_cart", "purchase", None)])
    deliver(settings, "bad.jsonl", [row for _, row in bad])
    counts = ingest(settings)
    by_reason = Counter(reason for reason, _ in bad)
    assert counts == {"files": 2, "rows_read": 13, "accepted": 4, "refused": 9, "duplicates": 0} | by_reason
    refused = stored(settings, "refused.parquet")
    assert {row["file"] for row in refused} == {"bad.jsonl"}
    kept = [(row["reason"], {k: v for k, v in json.loads(str(row["row"])).items() if v is not None}) for row in refused]
    expected = [(reason, {k: v for k, v in row.items() if v not in (None, " ")}) for reason, row in bad]
    assert sorted(kept, key=str) == sorted(expected, key=str)
    assert ledger(settings)[-1]["refused_by_reason"] == by_reason


def test_a_time_with_the_name_of_a_zone_does_not_move_the_rows_after_it(settings: Settings) -> None:
    times = ["2017-06-30 10:00:00 Asia/Tokyo", *["2017-06-30 10:00:00"] * 3]
    deliver(settings, "log.csv", [click(event_time=time, product_id=place) for place, time in enumerate(times)])
    ingest(settings)
    assert [row["event_time"] for row in stored(settings)] == [datetime(2017, 6, 30, 10)] * 3


def test_duplicates_are_dropped_and_counted(settings: Settings) -> None:
    deliver(settings, "a.csv", [click(event_id="e1"), click(event_id="e1", product_id="p0"), click(event_id="e2")])
    deliver(settings, "b.csv", [click(event_id="e1"), click(event_id=None), click(event_id=None), click(event_id="")])
    counts = ingest(settings)
    assert (counts["rows_read"], counts["accepted"], counts["duplicates"]) == (7, 3, 4)
    assert [row["event_id"] for row in stored(settings)] == ["e1", "e2", None]


def test_a_session_may_come_back_to_a_product(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(), click(event_time="2017-06-30 10:00:01")])
    assert ingest(settings)["accepted"] == 2


def test_the_ledger_names_every_file_and_every_load(settings: Settings) -> None:
    file = deliver(settings, "log.csv", [click()])
    ingest(settings)
    deliver(settings, "late.csv", [click(product_id="p2")])
    ingest(settings)
    first, second = ledger(settings)
    assert [entry["name"] for entry in second["files"]] == ["late.csv", "log.csv"]
    assert first["files"][0]["bytes"] == file.stat().st_size
    assert len(first["files"][0]["sha256"]) == 64
    assert (first["day"], first["rows_read"], second["rows_read"]) == (DAY, 1, 2)
    assert second["clicks_hash"] == Storage(settings.storage_url).read(Night.clicks(DAY)).hash != first["clicks_hash"]


def test_the_same_rows_give_the_same_bytes_in_whatever_files_they_come(settings: Settings) -> None:
    rows = [click(product_id=place % 97, session_id=place % 1009, user_id=place) for place in range(30_000)]
    deliver(settings, "all.parquet", rows)
    hashes = set()
    for _ in range(2):
        ingest(settings)
        hashes.add(Storage(settings.storage_url).read(Night.clicks(DAY)).hash)
    Path(settings.click_log_url, f"date={DAY}", "all.parquet").unlink()
    deliver(settings, "b.parquet", rows[:10_000])
    deliver(settings, "a.csv", rows[:9_999:-1])
    ingest(settings)
    assert hashes == {Storage(settings.storage_url).read(Night.clicks(DAY)).hash}


TIMES = st.sampled_from(
    ["2017-06-30 10:00:00", "2017-06-30T23:59:59.999999Z", "2017-06-30T01:00:00+02:00", "2017-07-01", "x", "", None]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"event_time": TIMES, "session_id": st.sampled_from(["s", "t", ""]), "product_id": st.sampled_from(["p", "q"])},
        optional={
            "event_id": st.sampled_from(["1", "2", None]),
            "event_type": st.sampled_from(["view", "hover", None]),
        },
    ),
    min_size=1,
    max_size=12,
)


@given(
    rows=ROWS, suffixes=st.lists(st.sampled_from([".csv", ".jsonl", ".json.gz", ".parquet"]), min_size=1, max_size=3)
)
@hypothesis_settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_read_are_accepted_refused_or_duplicates(settings, rows, suffixes) -> None:
    good = click(session_id="good", event_type=None)
    files = [[good, *rows[place :: len(suffixes)]] for place in range(len(suffixes))]
    settings = settings.model_copy(update={"click_log_url": f"{settings.click_log_url}/{uuid4().hex}"})
    for place, suffix in enumerate(suffixes):
        deliver(settings, f"{place}{suffix}", files[place])
    counts = ingest(settings)
    assert counts["rows_read"] == len(rows) + len(suffixes)
    assert counts["rows_read"] == counts["accepted"] + counts["refused"] + counts["duplicates"]
    expected_refused = sum(reason_of(row) is not None for row in rows)
    accepted = [{name: row.get(name) or None for name in COLUMNS} for row in [good, *rows] if not reason_of(row)]
    by_id = {row["event_id"] for row in accepted if row["event_id"]}
    without_id = {tuple(row.values()) for row in accepted if not row["event_id"]}
    assert counts["refused"] == expected_refused == len(stored(settings, "refused.parquet"))
    assert counts["accepted"] == len(by_id) + len(without_id) == len(stored(settings))


def reason_of(row: Row) -> str | None:
    """The slow and obvious reference."""
    if not row["session_id"]:
        return "missing_session"
    try:
        moment = datetime.fromisoformat(str(row["event_time"] or ""))
    except ValueError:
        return "bad_event_time"
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    if moment.date() != DAY:
        return "other_day"
    return "unknown_event_type" if row.get("event_type") == "hover" else None


def test_a_day_without_a_folder_is_not_ready(settings: Settings) -> None:
    with pytest.raises(NotReady, match=rf"no folder {settings.click_log_url}/date=2017-06-30; deliver it"):
        ingest(settings)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("_SUCCESS", b""),
        ("log.csv", b""),
        ("log.csv", b"event_time,session_id,product_id\n"),
        ("log.jsonl", b""),
        ("log.jsonl.gz", gzip.compress(b"")),
        ("log.parquet", as_parquet([])),
    ],
)
def test_an_empty_day_is_refused(settings: Settings, name: str, content: bytes) -> None:
    deliver(settings, name, content)
    assert refusal(settings).startswith("empty day 2017-06-30")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_column_is_named_with_the_columns_seen(settings: Settings, suffix: str) -> None:
    deliver(settings, "a.csv", [click()])
    deliver(settings, f"b{suffix}", [{"event_time": "2017-06-30", "session": "s", "product_id": "p"}])
    message = refusal(settings)
    assert f"b{suffix} has no column session_id; its columns are event_time, session, product_id" in message


WHOLE_CSV = as_csv([click(product_id=place) for place in range(5_000)])
WHOLE_PARQUET = as_parquet([click(product_id=place) for place in range(5_000)])
NOT_WHAT_THEY_SAY = {
    "truncated.parquet": WHOLE_PARQUET[: len(WHOLE_PARQUET) // 2],
    "empty.parquet": b"",
    "text.parquet": WHOLE_CSV,
    "text.csv.gz": WHOLE_CSV,
    "truncated.csv.gz": gzip.compress(WHOLE_CSV)[:-2_000],
    "without-checksum.csv.gz": gzip.compress(WHOLE_CSV)[:-8],
    "text.jsonl.gz": as_json_lines([click()]),
    "truncated.jsonl.gz": gzip.compress(as_json_lines([click(product_id=place) for place in range(5_000)]))[:-9],
    "parquet.csv": WHOLE_PARQUET,
    "gzip.csv": gzip.compress(WHOLE_CSV),
    "csv.jsonl": WHOLE_CSV,
    "latin-1.csv": as_csv([click(product_id="café")]).decode().encode("latin-1"),
    "twice.csv": b"event_time,session_id,product_id,product_id\n2017-06-30,s,p,q\n",
}
WITH_LINE = {
    "ragged.csv": (WHOLE_CSV + b"2017-06-30,s\n", 5002),
    "wide.csv": (WHOLE_CSV + b"2017-06-30,s,p,more\n", 5002),
    "unquoted.csv": (WHOLE_CSV + b'2017-06-30,s,"p\n', 5002),
    "malformed.jsonl": (as_json_lines([click()] * 3) + b"{oops}\n", 4),
}


@pytest.mark.parametrize("name", NOT_WHAT_THEY_SAY)
def test_a_file_that_is_not_what_its_suffix_says(settings: Settings, name: str) -> None:
    deliver(settings, "good.csv", [click()])
    deliver(settings, name, NOT_WHAT_THEY_SAY[name])
    suffix = name[name.index(".") :]
    assert f"date=2017-06-30/{name} does not read as {suffix}" in refusal(settings)


@pytest.mark.parametrize("name", WITH_LINE)
def test_a_line_that_does_not_parse_is_named(settings: Settings, name: str) -> None:
    content, line = WITH_LINE[name]
    deliver(settings, name, content)
    message = refusal(settings)
    assert f"date=2017-06-30/{name} does not read as" in message
    assert f"line {line}" in message.lower().replace("line: ", "line ")


def test_an_unknown_suffix_lists_the_accepted_ones(settings: Settings) -> None:
    deliver(settings, "good.csv", [click()])
    deliver(settings, "log.xlsx", b"PK")
    message = refusal(settings)
    assert "log.xlsx" in message
    assert all(suffix in message for suffix in FORMATS)


def test_a_day_of_nothing_but_refused_rows_gives_the_counts(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(event_time="x"), click(event_time="y"), click(session_id="")])
    assert "all 3 rows of 2017-06-30 were refused (bad_event_time 2, missing_session 1)" in refusal(settings)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", b""),
        ("log.csv", as_csv([click(event_time="x")])),
        ("log.csv", as_csv([{"event_time": "2017-06-30", "session_id": "s"}])),
        ("truncated.parquet", WHOLE_PARQUET[:-20]),
        ("log.xlsx", b"PK"),
    ],
)
def test_after_an_error_the_day_stays_as_it_was(settings: Settings, name: str, content: bytes) -> None:
    deliver(settings, "log.csv", [click(product_id="before")])
    ingest(settings)
    deliver(settings, name, content)
    refusal(settings)
    assert [row["product_id"] for row in stored(settings)] == ["before"]
    assert len(ledger(settings)) == 1


def test_a_database_that_is_down_leaves_the_day_as_it_was(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(product_id="before")])
    ingest(settings)
    deliver(settings, "log.csv", [click(product_id="after")])
    down = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/nothing"})
    with pytest.raises(NotReady):
        ingest(down)
    assert [row["product_id"] for row in stored(settings)] == ["before"]


def test_logs_are_fetched_from_remote_storage(settings: Settings) -> None:
    root = f"memory://{uuid4().hex}"
    remote = settings.model_copy(update={"click_log_url": f"{root}/logs", "storage_url": f"{root}/storage"})
    files = fsspec.filesystem("memory")
    files.pipe_file(f"{root}/logs/date=2017-06-30/a.csv.gz", gzip.compress(as_csv([click()])))
    files.pipe_file(f"{root}/logs/date=2017-06-30/b.parquet", as_parquet([click(product_id="p2")]))
    assert ingest(remote)["accepted"] == 2
    assert [row["product_id"] for row in stored(remote)] == ["p1", "p2"]
    files.pipe_file(f"{root}/logs/date=2017-06-30/c.csv.gz", b"no gzip")
    assert "date=2017-06-30/c.csv.gz does not read" in refusal(remote)


def test_days_with_a_folder_always_end_with_the_last(settings: Settings) -> None:
    last = DAY
    assert days_with_a_folder(last - timedelta(days=5), last, settings) == [last]
    for age in (7, 3, 1):
        deliver(settings, "log.csv", [click()], last - timedelta(days=age))
    Path(settings.click_log_url, "date=other").mkdir()
    found = days_with_a_folder(last - timedelta(days=5), last, settings)
    assert [(last - day).days for day in found] == [3, 1, 0]
    assert days_with_a_folder(last, last, settings) == [last]
