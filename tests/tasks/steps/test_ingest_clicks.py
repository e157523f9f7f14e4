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

from tasks.errors import BadInput, NotReady
from tasks.ingest.log_format import COLUMNS
from tasks.ingest.quarantine import QUARANTINE
from tasks.ingest.reading import days_with_a_folder
from tasks.night import Night
from tasks.settings import Settings
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction

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


def zstd(content: bytes) -> bytes:
    compressed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return compressed


FORMATS: dict[str, Callable[[Sequence[Row]], bytes]] = {
    ".parquet": as_parquet,
    ".csv": as_csv,
    ".csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    ".csv.zst": lambda rows: zstd(as_csv(rows)),
    ".jsonl": as_json_lines,
    ".jsonl.gz": lambda rows: gzip.compress(as_json_lines(rows)),
    ".jsonl.zst": lambda rows: zstd(as_json_lines(rows)),
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


def stored(settings: Settings, name: str = "clicks", day: date = DAY) -> list[Row]:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.clicks(day))) as folder:
        rows: list[Row] = pq.read_table(folder / name).to_pylist() if (folder / name).exists() else []
    return sorted(rows, key=lambda row: [str(row[name]) for name in COLUMNS]) if name != QUARANTINE else rows


def ledger(settings: Settings) -> list[sa.RowMapping]:
    with transaction(settings) as connection:
        return list(connection.execute(sa.text("select * from ingest_ledger order by loaded_at")).mappings())


def rules(settings: Settings) -> set[tuple]:
    """Rule, outcome and rows of the last load."""
    query = "select rule, outcome, row_count from ingest_rules where load_id = (select max(load_id) from ingest_ledger)"
    with transaction(settings) as connection:
        return {tuple(row) for row in connection.execute(sa.text(query))}


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
    assert ingest(settings) == {"files": 1, "rows_read": 2, "accepted": 2, "quarantined": 0, "duplicates": 0}
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
    assert {row["product_id"] for row in stored(settings)} == {id_.strip() for id_ in ids}
    deliver(settings, "log.csv", [click(product_id=id_, session_id="s2") for id_ in ids])
    ingest(settings)
    of_csv = {row["product_id"] for row in stored(settings) if row["session_id"] == "s2"}
    assert of_csv == {id_.strip() for id_ in ids}


@pytest.mark.parametrize("suffix", FORMATS)
def test_ids_that_went_through_a_double_are_whole_numbers(settings: Settings, suffix: str) -> None:
    doubles = [10414530.0, 2.0**60, 31198570044123456.0]
    as_java = ["1.041453E7", "1.152921504606846976E18", "3.1198570044123456E16"]
    written = doubles if suffix == ".parquet" else as_java
    deliver(settings, f"log{suffix}", [click(product_id=id_, user_id=7.0) for id_ in written])
    ingest(settings)
    assert {row["product_id"] for row in stored(settings)} == {"10414530", str(2**60), "31198570044123456"}
    assert {row["user_id"] for row in stored(settings)} == {"7"}


def test_ids_of_one_normal_form_are_one(settings: Settings) -> None:
    rows = [click(product_id=id_, session_id="s ", user_id=id_) for id_ in ("\u00c9-1", "E\u0301-1", "\u00c9-1   ")]
    for suffix in (".parquet", ".csv", ".jsonl"):
        deliver(settings, f"log{suffix}", rows)
    assert ingest(settings)["duplicate_row"] == 8
    (row,) = stored(settings)
    assert (row["product_id"], row["session_id"], row["user_id"]) == ("\u00c9-1", "s", "\u00c9-1")


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


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_one_typed_time_that_no_engine_can_hold_costs_one_row(settings: Settings, unit: str) -> None:
    per_second = {"ms": 10**3, "us": 10**6}[unit]
    times = pa.array([1498816800 * per_second, 2**63 - 1, None, 884_541_340_800 * per_second], pa.timestamp(unit))
    file = deliver(settings, "log.parquet", b"")
    pq.write_table(pa.table({"event_time": times, "session_id": [1, 1, 1, 1], "product_id": [1, 2, 3, 4]}), file)
    counts = ingest(settings.model_copy(update={"max_quarantined_share": 0.9}))
    assert (counts["accepted"], counts["unparsable_time"], counts["missing_time"]) == (1, 2, 1)
    assert [row["file"] for row in stored(settings, QUARANTINE)] == ["log.parquet"] * 3


def test_refused_rows_lie_in_quarantine_with_rule_file_and_row(settings: Settings) -> None:
    bad = [
        ("empty_session", click(session_id=None)),
        ("missing_product", click(product_id=" ")),
        ("unfit_id", click(product_id="x" * 201)),
        ("unfit_id", click(source_product_id="a\0b")),
        ("missing_time", click(event_time=None)),
        ("unparsable_time", click(event_time="noon")),
        ("unparsable_time", click(event_time="1498816800")),
        ("unparsable_time", click(event_time="2017-02-31 10:00:00")),
        ("unparsable_time", click(event_time="2017-06-30 10:00:00 Europe/Berlin")),
        ("after_its_day", click(event_time="2017-07-01 12:00:00")),
        ("ambiguous_time", click(event_time="06/07/2017 10:00")),
        ("ambiguous_time", click(event_time="2017-06-30 10:00:00 CST")),
        ("too_late", click(event_time="2017-06-28 01:00:00+02:00")),
        ("unknown_event_type", click(event_type="hover", extra="kept", other=None)),
    ]
    kinds = ("view", "add_to_cart", "purchase", None)
    deliver(settings, "good.csv", [click(event_type=kind, session_id=n) for n in range(4) for kind in kinds])
    deliver(settings, "bad.jsonl", [row for _, row in bad])
    counts = ingest(settings)
    by_rule = Counter(rule for rule, _ in bad)
    assert counts == {"files": 2, "rows_read": 30, "accepted": 16, "quarantined": 14, "duplicates": 0} | by_rule
    found = stored(settings, QUARANTINE)
    assert [(row["rule"], row["file"], row["row"]) for row in found] == [
        (rule, "bad.jsonl", line) for line, (rule, _) in enumerate(bad, 1)
    ]
    said = [{name: row[name] for name in COLUMNS} for row in found]
    assert said == [{name: row.get(name) if row.get(name) != " " else None for name in COLUMNS} for _, row in bad]
    assert found[-1]["rest"] == "extra=kept"
    assert rules(settings) == {(rule, "quarantined", rows) for rule, rows in by_rule.items()}


def test_the_rules_of_a_load_are_a_query_away(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(), click(), click(event_time="2017-06-29"), click(event_type="hover")])
    ingest(settings)
    with transaction(settings) as connection:
        seen = connection.execute(
            sa.text("select rule, outcome, row_count, percent_of_read from ingest_rules order by 1")
        )
        assert [tuple(row) for row in seen] == [
            ("duplicate_row", "duplicate", 1, 25), ("late", "accepted", 1, 25),
            ("unknown_event_type", "quarantined", 1, 25),
        ]  # fmt: skip
        (health,) = connection.execute(sa.text("select * from ingest_health")).mappings()
    counts = [health[name] for name in ("rows_read", "accepted", "quarantined", "duplicates", "clicks_of_other_days")]
    assert counts == [4, 2, 1, 1, 1]
    assert health["rows_by_rule"] == {"duplicate_row": 1, "late": 1, "unknown_event_type": 1}


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
    assert {row["event_id"] for row in stored(settings)} == {"e1", "e2", None}
    assert rules(settings) == {("duplicate_event_id", "duplicate", 2), ("duplicate_row", "duplicate", 2)}


def test_rows_that_differ_in_a_column_we_do_not_know_are_no_duplicates(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(quantity=1), click(quantity=2), click(quantity=1)])
    deliver(settings, "log.parquet", [click(quantity=3), click(quantity=1)])
    counts = ingest(settings)
    assert (counts["accepted"], counts["duplicate_row"]) == (3, 2)


def test_a_refused_twin_leaves_its_good_one(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(event_id="e1", event_type="hover"), click(event_id="e1")])
    counts = ingest(settings)
    assert (counts["accepted"], counts["quarantined"], counts["duplicates"]) == (1, 1, 0)


def test_bots_and_wholesale_sessions_are_refused_whole(settings: Settings) -> None:
    settings = settings.model_copy(update={"bot_session_clicks": 5, "wholesale_session_products": 3})

    def session(name: str, clicks: int, products: int) -> list[Row]:
        return [click(session_id=name, product_id=n % products, event_id=f"{name}{n}") for n in range(clicks)]

    good = session("fits", 5, 3) + session("other", 5, 1) + session("third", 3, 3)
    delivered_twice = session("fits", 5, 3)
    deliver(settings, "log.jsonl", good + delivered_twice + session("bot", 6, 2) + session("wholesale", 4, 4))
    counts = ingest(settings)
    assert {row["session_id"] for row in stored(settings)} == {"fits", "other", "third"}
    assert (counts["bot_session"], counts["wholesale_session"], counts["duplicate_event_id"]) == (6, 4, 5)
    refused = stored(settings, QUARANTINE)
    assert Counter(row["rule"] for row in refused) == {"bot_session": 6, "wholesale_session": 4}
    assert {row["session_id"] for row in refused} == {"bot", "wholesale"}


def test_products_outside_the_catalogue_are_kept_and_counted(settings: Settings) -> None:
    with Storage(settings.storage_url).write(Night.catalogue(DAY - timedelta(days=9))) as (folder, _):
        pq.write_table(pa.table({"product_id": ["p1", "p2"]}), folder / "products.parquet")
    deliver(settings, "log.csv", [click(product_id=f"p{n % 4}", session_id=n) for n in range(10)])
    assert ingest(settings)["product_not_in_catalogue"] == 5
    assert ("product_not_in_catalogue", "accepted", 5) in rules(settings)
    assert len(stored(settings)) == 10


def test_a_file_of_other_ids_stops_the_load_with_some_of_each_side(settings: Settings) -> None:
    with Storage(settings.storage_url).write(Night.catalogue(DAY)) as (folder, _):
        pq.write_table(pa.table({"product_id": [f"SKU-{n}" for n in range(9)]}), folder / "products.parquet")
    deliver(settings, "good.csv", [click(product_id=f"SKU-{n % 9}", session_id=n) for n in range(30)])
    deliver(settings, "few.csv", [click(product_id="other", session_id=f"few {n}") for n in range(19)])
    assert ingest(settings)["product_not_in_catalogue"] == 19
    deliver(settings, "bad.csv", [click(product_id=f"sku-{n % 5}", session_id=f"bad {n}") for n in range(30)])
    message = refusal(settings)
    seen = "bad.csv: 30 of 30, such as 'sku-0', 'sku-1', 'sku-2' (the catalogue has 'SKU-0', 'SKU-1', 'SKU-2')"
    assert "at most 95% of the clicks in a file of 2017-06-30 may be on products that the catalogue" in message
    assert seen in message and "good.csv" not in message and "MAX_UNLISTED_SHARE=1" in message
    assert len(stored(settings)) == 49
    assert ingest(settings.model_copy(update={"max_unlisted_share": 1}))["product_not_in_catalogue"] == 49


def test_where_the_catalogue_lags_behind_the_log_is_not_read_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Storage(settings.storage_url).write(Night.catalogue(DAY)) as (folder, _):
        pq.write_table(pa.table({"product_id": ["p0"]}), folder / "products.parquet")
    deliver(settings, "log.csv", [click(product_id=f"p{min(n % 10, 1)}", session_id=n) for n in range(80)])
    deliver(settings, "few.csv", [click(product_id="p0", event_time="") for _ in range(3)])
    monkeypatch.setattr("tasks.steps.ingest_clicks.files_of_other_ids", lambda *_: pytest.fail("read again"))
    assert ingest(settings)["product_not_in_catalogue"] == 72


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


def test_a_late_click_goes_to_its_own_day(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(event_time="2017-06-29 23:59:59"), click(event_time="2017-06-28"), click()])
    counts = ingest(settings)
    assert (counts["accepted"], counts["late"]) == (3, 2)
    assert [row["event_time"] for row in stored(settings)] == [datetime(2017, 6, 30, 10)]
    for day in (28, 29):
        (late,) = stored(settings, f"late/date=2017-06-{day}")
        assert late["event_time"].day == day


def test_a_late_click_that_is_there_already_is_a_duplicate(settings: Settings) -> None:
    yesterday = DAY - timedelta(days=1)
    first = [
        click(event_time="2017-06-29 09:00:00", session_id=n, event_id=(n % 2 and f"e{n}") or None) for n in range(4)
    ]
    deliver(settings, "log.jsonl", first, yesterday)
    ingest(settings, yesterday)
    deliver(settings, "log.jsonl", [click(), *first[:3], first[3] | {"event_id": "other"}])
    for _ in range(2):  # loaded again it is no duplicate of itself
        counts = ingest(settings)
        assert (counts["accepted"], counts["late"]) == (2, 1)
        assert (counts["duplicate_event_id"], counts["duplicate_row"]) == (1, 2)


def test_no_lateness_at_all(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(event_time="2017-06-29 23:59:59"), click()])
    assert ingest(settings.model_copy(update={"lateness_days": 0}))["too_late"] == 1


def test_a_log_with_other_names_and_numbers_for_times(settings: Settings, tmp_path: Path) -> None:
    names = {"event_time": "ts", "session_id": "visit", "product_id": "sku", "event_type": "what"}
    written = {"columns": names, "event_types": {"pageview": "view", "order": "purchase"}, "time_unit": "ms"}
    (tmp_path / "format.json").write_text(json.dumps(written))
    settings = settings.model_copy(update={"log_format": tmp_path / "format.json"})
    moment = int(datetime(2017, 6, 30, 10, tzinfo=UTC).timestamp() * 1000)
    rows = [{"what": what, "sku": 7, "ts": moment + 250, "visit": 1} for what in ("pageview", "order", "nonsense")]
    for suffix in (".csv", ".jsonl", ".parquet"):
        deliver(settings, f"log{suffix}", [row | {"visit": suffix} for row in rows])
    counts = ingest(settings)
    assert (counts["accepted"], counts["unknown_event_type"]) == (6, 3)
    assert {row["event_time"] for row in stored(settings)} == {datetime(2017, 6, 30, 10, 0, 0, 250_000)}
    assert Counter(row["event_type"] for row in stored(settings)) == {"view": 3, "purchase": 3}


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ({"columns": {"time": "ts"}}, "columns must be among event_time"),
        ({"columns": {"event_time": "session_id"}}, "under two of our names"),
        ({"event_types": {"a": "b"}}, "event types must be among view"),
        ({"surprise": 1}, "surprise"),
        ("no json", "LOG_FORMAT must be a JSON file"),
    ],
)
def test_a_log_format_that_cannot_be(settings: Settings, tmp_path: Path, written: object, seen: str) -> None:
    (tmp_path / "format.json").write_text(written if isinstance(written, str) else json.dumps(written))
    deliver(settings, "log.csv", [click()])
    assert seen in refusal(settings.model_copy(update={"log_format": tmp_path / "format.json"}))


TIMES = st.sampled_from(
    [
        *("2017-06-30 10:00:00", "2017-06-30T23:59:59.999999Z", "2017-06-30T01:00:00+02:00", "2017-07-01"),
        *("2017-07-01 12:00", "2017-06-27", "x", "", None),
    ]
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
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_read_are_accepted_quarantined_or_duplicates(settings, rows, suffixes) -> None:
    settings = settings.model_copy(
        update={"click_log_url": f"{settings.click_log_url}/{uuid4().hex}", "max_quarantined_share": 1.0}
    )
    good = click(session_id="good", event_type=None)
    files = [[good, *rows[place :: len(suffixes)]] for place in range(len(suffixes))]
    for place, suffix in enumerate(suffixes):
        deliver(settings, f"{place}{suffix}", files[place])
    counts = ingest(settings)
    assert counts["rows_read"] == len(rows) + len(suffixes)
    assert counts["rows_read"] == counts["accepted"] + counts["quarantined"] + counts["duplicates"]
    refused = Counter(rule for row in rows if (rule := rule_of(row)))
    accepted = [_canonical(row) for row in [good, *rows] if not rule_of(row)]
    by_id = {row["event_id"] for row in accepted if row["event_id"]}
    without_id = {tuple(row.values()) for row in accepted if not row["event_id"]}
    assert Counter(row["rule"] for row in stored(settings, QUARANTINE)) == refused
    assert (
        counts["accepted"]
        == len(by_id) + len(without_id)
        == len(stored(settings)) + counts.get("late", 0) + counts.get("early", 0)
    )


def _canonical(row: Row) -> Row:
    return {name: row.get(name) or None for name in COLUMNS} | {"event_time": moment_of(row)}


def moment_of(row: Row) -> datetime:
    moment = datetime.fromisoformat(str(row["event_time"] or ""))
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def rule_of(row: Row) -> str | None:
    """The slow and obvious reference."""
    if not row["session_id"]:
        return "empty_session"
    if not row["event_time"]:
        return "missing_time"
    try:
        moment = moment_of(row)
    except ValueError:
        return "unparsable_time"
    if moment >= datetime.combine(DAY, datetime.min.time()) + timedelta(hours=36):
        return "after_its_day"
    if moment.date() < DAY - timedelta(days=2):
        return "too_late"
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
        ("log.jsonl.gz", gzip.compress(b"", mtime=0)),
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
    assert f"b{suffix} has no column session_id or user_id; its columns are event_time, session, product_id" in message


WHOLE_CSV = as_csv([click(product_id=place) for place in range(5_000)])
WHOLE_PARQUET = as_parquet([click(product_id=place) for place in range(5_000)])
NOT_WHAT_THEY_SAY = {
    "truncated.parquet": WHOLE_PARQUET[: len(WHOLE_PARQUET) // 2],
    "empty.parquet": b"",
    "text.parquet": WHOLE_CSV,
    "damaged.parquet": WHOLE_PARQUET[:2_000] + bytes(500) + WHOLE_PARQUET[2_500:],
    "text.csv.gz": WHOLE_CSV,
    "truncated.csv.gz": gzip.compress(WHOLE_CSV)[:-2_000],
    "without-checksum.csv.gz": gzip.compress(WHOLE_CSV)[:-8],
    "text.csv.zst": WHOLE_CSV,
    "truncated.csv.zst": zstd(WHOLE_CSV)[:-9],
    "text.jsonl.gz": as_json_lines([click()]),
    "truncated.jsonl.gz": gzip.compress(as_json_lines([click(product_id=place) for place in range(5_000)]))[:-9],
    "parquet.csv": WHOLE_PARQUET,
    "gzip.csv": gzip.compress(WHOLE_CSV),
    "cut.json": json.dumps([click()] * 3)[:-3].encode(),
}


@pytest.mark.parametrize("name", NOT_WHAT_THEY_SAY)
def test_a_file_that_is_not_what_its_suffix_says(settings: Settings, name: str) -> None:
    deliver(settings, "good.csv", [click()])
    deliver(settings, name, NOT_WHAT_THEY_SAY[name])
    message = refusal(settings)
    assert f"date=2017-06-30/{name} does not read as" in message
    assert "write the file again" in message


def test_a_header_that_names_a_column_twice(settings: Settings) -> None:
    deliver(settings, "log.csv", b"\nevent_time,session_id,product_id,Product_ID\n2017-06-30,s,p,q\n")
    assert "log.csv has a column twice in its header, line 2 (event_time" in refusal(settings)


def test_a_parquet_column_of_another_kind(settings: Settings) -> None:
    file = deliver(settings, "log.parquet", b"")
    pq.write_table(pa.table({"event_time": ["2017-06-30"], "session_id": [["s"]], "product_id": [2]}), file)
    assert "log.parquet must hold text, numbers or times in column session_id" in refusal(settings)


def test_an_unknown_suffix_lists_the_accepted_ones(settings: Settings) -> None:
    deliver(settings, "good.csv", [click()])
    deliver(settings, "log.xlsx", b"PK\x03\x04")
    message = refusal(settings)
    assert "log.xlsx" in message
    assert all(suffix in message for suffix in FORMATS)


def test_a_day_of_nothing_but_refused_rows_gives_the_counts(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(event_time="x"), click(event_time="y"), click(session_id="")])
    message = refusal(settings)
    assert "got 3 of 3 refused (empty_session 1, unparsable_time 2): see rejected/date=2017-06-30" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", b""),
        ("log.csv", as_csv([click(event_time="x")])),
        ("log.csv", as_csv([{"event_time": "2017-06-30", "session_id": "s"}])),
        ("truncated.parquet", WHOLE_PARQUET[:-20]),
        ("log.xlsx", b"PK\x03\x04"),
    ],
)
def test_after_an_error_the_day_stays_as_it_was(settings: Settings, name: str, content: bytes) -> None:
    deliver(settings, "log.csv", [click(product_id="before")])
    ingest(settings)
    deliver(settings, name, content)
    refusal(settings)
    assert [row["product_id"] for row in stored(settings)] == ["before"]
    assert ledger(settings)[0]["outcome"] == "loaded"
    assert all(load["outcome"] == "rejected" and not load["clicks_hash"] for load in ledger(settings)[1:])


def test_a_load_with_too_many_refused_rows_is_rejected_and_can_be_looked_at(settings: Settings) -> None:
    deliver(settings, "log.csv", [click(product_id="before")])
    ingest(settings)
    deliver(
        settings, "log.csv", [click(product_id="after"), *[click(event_type="hover", session_id=n) for n in range(3)]]
    )
    assert "at most 50% of the rows of 2017-06-30 may be refused" in refusal(settings)
    assert [row["product_id"] for row in stored(settings)] == ["before"]
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.rejected(DAY))) as folder:
        assert pq.read_table(folder / QUARANTINE)["rule"].to_pylist() == ["unknown_event_type"] * 3
    with transaction(settings) as connection:
        (health,) = connection.execute(sa.text("select * from ingest_health")).mappings()
    assert (health["rows_read"], health["rejected_since"]) == (1, 1)
    assert ingest(settings.model_copy(update={"max_quarantined_share": 0.75}))["accepted"] == 1
    assert not storage.complete(Night.rejected(DAY))


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
