"""Names with dots, lists of key and value, and lists of items: one row an item, whatever kind of file they come in."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import BadInput
from tasks.ingest.conversion import readable
from tasks.ingest.input_files import Bounds
from tasks.ingest.kinds import kind_of
from tasks.ingest.log_format import LogFormat
from tasks.ingest.nested import RowMaker, value_at
from tasks.settings import Settings

BOUNDS = Bounds.of(Settings(_env_file=None))
GA4 = LogFormat(
    columns={
        "event_time": "event_timestamp", "user_id": ["user_id", "user_pseudo_id"],
        "session_id": "event_params.ga_session_id", "product_id": "items.item_id", "event_type": "event_name",
    },
    items="items",
)  # fmt: skip
GA4_EVENT: dict[str, Any] = {
    "event_timestamp": 1498816800000250, "event_name": "purchase", "user_id": None, "user_pseudo_id": "u.1",
    "event_params": [
        {"key": "page", "value": {"string_value": "/a", "int_value": None}},
        {"key": "ga_session_id", "value": {"string_value": None, "int_value": 1498816000}},
    ],
    "device": {"category": "mobile"}, "event_id": "e7",
    "items": [{"item_id": "p1", "quantity": 2}, {"item_id": "p2", "quantity": 1}],
}  # fmt: skip


def rows_of(record: object, log_format: LogFormat) -> list[dict[str, str | None]]:
    names = [*log_format.sources, "rest"]
    return [dict(zip(names, texts, strict=True)) for texts in RowMaker(log_format).rows_of(record)]


def read(file: Path, log_format: LogFormat) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    found = readable(file, kind_of(file, file.name), log_format, file.with_name("rows.parquet"), BOUNDS)
    lines = [line[:2] for some in found.unreadable.batches() for line in some] if found.unreadable else []
    return pq.read_table(found.parquet).to_pylist(), lines


def test_an_event_of_ga4() -> None:
    first, second = rows_of(GA4_EVENT, GA4)
    assert first["session_id"] == second["session_id"] == "1498816000"
    assert (first["user_id"], first["event_time"], first["event_type"]) == ("u.1", "1498816800000250", "purchase")
    assert [first["product_id"], second["product_id"]] == ["p1", "p2"]
    assert [first["event_id"], second["event_id"]] == ["e7", "e7#2"]
    assert first["rest"] is not None and "items.quantity=2" in first["rest"] and "p2" not in first["rest"]


def test_one_format_reads_orders_and_single_products_of_segment() -> None:
    names = {
        "product_id": ["properties.products.product_id", "properties.product_id"],
        "user_id": ["userId", "anonymousId"],
    }
    log_format = LogFormat(columns=names, items="properties.products")
    order = {
        "userId": " ",
        "anonymousId": "a",
        "properties": {"total": 3, "products": [{"product_id": 1}, {"product_id": 2}]},
    }
    assert [(row["product_id"], row["user_id"]) for row in rows_of(order, log_format)] == [("1", "a"), ("2", "a")]
    (view,) = rows_of({"userId": "u", "properties": {"product_id": 3}}, log_format)
    assert (view["product_id"], view["user_id"]) == ("3", "u")
    (page,) = rows_of({"userId": "u", "properties": {"products": []}}, log_format)
    assert page["product_id"] is None


@pytest.mark.parametrize(
    ("items", "products"),
    [
        (["p", "q"], ["p", "q"]),
        ([7, 8.0], ["7", "8"]),
        ('["p", "q"]', ["p", "q"]),
        ("p", ["p"]),
        ([], [None]),
        (None, [None]),
        ({"a": 1}, "items holds an object"),
        ([["p"]], "items holds a list"),
    ],
)
def test_a_list_of_plain_values(items: object, products: list[str | None] | str) -> None:
    log_format = LogFormat(items="items", columns={"product_id": "items"})
    if isinstance(products, str):
        with pytest.raises(ValueError, match=products):
            rows_of({"items": items}, log_format)
    else:
        assert [row["product_id"] for row in rows_of({"items": items}, log_format)] == products


def test_items_with_an_id_and_a_time_of_their_own_keep_them() -> None:
    names = {"session_id": "session", "product_id": "events.aid", "event_time": "events.ts", "event_id": "events.id"}
    record = {"session": 1, "events": [{"aid": 5, "ts": 10, "id": "x"}, {"aid": 6, "ts": 11, "id": "y"}]}
    rows = rows_of(record, LogFormat(items="events", columns=names))
    assert [(row["product_id"], row["event_time"], row["event_id"]) for row in rows] == [
        ("5", "10", "x"),
        ("6", "11", "y"),
    ]


@pytest.mark.parametrize("value", [["p1"], {"id": "p1"}, []])
def test_a_list_is_no_id_without_items(value: object) -> None:
    with pytest.raises(ValueError, match=r"product_id holds (a list|an object), no single value: name a field of it"):
        rows_of({"product_id": value}, LogFormat())


def test_where_names_lead() -> None:
    record = {
        "a.b": 1,
        "a": {"b": 2, "c.d": {"e": 3}},
        "text": '{"x": {"y": 4}}',
        "pairs": [{"key": "k", "value": {"z": 5}}],
    }
    found = [
        value_at(record, path) for path in ("a.b", "a.c.d.e", "text.x.y", "pairs.k.z", "pairs.n", "a.b.c", "no.thing")
    ]
    assert found == [1, 3, "4", 5, None, None, None]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "csv"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    """In a CSV, lists and objects are JSON text."""
    records = [
        GA4_EVENT,
        GA4_EVENT | {"items": []},
        GA4_EVENT | {"user_id": "me", "items": [{"item_id": "p3", "quantity": 1}]},
    ]
    file = tmp_path / f"log.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records), file)
    elif kind == "csv":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(GA4_EVENT))
        writer.writeheader()
        writer.writerows(
            {name: json.dumps(x) if isinstance(x, list | dict) else x for name, x in row.items()} for row in records
        )
        file.write_text(text.getvalue())
    else:
        file.write_text(json.dumps(records) if kind == "json" else "".join(json.dumps(row) + "\n" for row in records))
    rows, unreadable = read(file, GA4)
    lines = {"csv": [2, 2, 3, 4]}.get(kind, [1, 1, 2, 3])
    assert ([row["line"] for row in rows], unreadable) == (lines, [])
    expected = [texts for record in records for texts in rows_of(record, GA4)]
    assert [[row[name] for name in GA4.sources] for row in rows] == [
        [row[name] for name in GA4.sources] for row in expected
    ]


def test_parquet_of_other_writers(tmp_path: Path) -> None:
    """Texts as bytes, UUIDs, capitals, columns called as an engine calls its own, a time after the year 9999."""
    ids = [UUID(int=2**127 + place) for place in range(3)]
    columns = {
        "EVENT_TIME": pa.array([1498816800, 884541351600, None], pa.timestamp("s")),
        "session_id": pa.array([uuid.bytes for uuid in ids], pa.binary(16)),
        "product_id": pa.array(["café".encode(), b"\xff\xfe", b"p"], pa.binary()),
        "event_id": pa.array([uuid.bytes for uuid in ids], pa.uuid()),
        "user_id": pa.array([Decimal("12.00"), Decimal("13.50"), None]),
        "filename": ["x", "y", "z"], "file_row_number": [7, 8, 9],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "part-0")
    rows, unreadable = read(tmp_path / "part-0", LogFormat())
    assert unreadable == [(2, "bytes that are not UTF-8")]
    assert [(row["line"], row["product_id"], row["session_id"]) for row in rows] == [
        (1, "café", str(ids[0])),
        (3, "p", str(ids[2])),
    ]
    assert (rows[0]["event_time"], rows[0]["event_id"], rows[0]["user_id"]) == (
        "2017-06-30 10:00:00.000",
        str(ids[0]),
        "12",
    )
    assert rows[0]["rest"] == "file_row_number=7; filename=x"
    columns["product_id"] = pa.array(["p"] * 3)
    pq.write_table(pa.table(columns), tmp_path / "part-0")
    assert [row["event_time"] for row in read(tmp_path / "part-0", LogFormat())[0]] == [
        "2017-06-30 10:00:00.000", "30000-01-01 03:00:00.000", None,
    ]  # fmt: skip


def test_a_damaged_parquet_that_is_converted_is_refused(tmp_path: Path) -> None:
    ids = pa.array([b"p%d" % place for place in range(9_000)], pa.binary())
    pq.write_table(
        pa.table({"event_time": ["t"] * 9_000, "session_id": ["s"] * 9_000, "product_id": ids}), tmp_path / "p"
    )
    content = (tmp_path / "p").read_bytes()
    (tmp_path / "p").write_bytes(content[:200] + b"\xff" * 20_000 + content[20_200:])
    with pytest.raises(BadInput, match=r"does not read as \.parquet: .*write the file again"):
        read(tmp_path / "p", LogFormat())


def test_a_plain_parquet_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "log.parquet"
    pq.write_table(
        pa.table({"event_time": ["t"], "session_id": ["s"], "product_id": ["p"], "device": [{"a": 1}]}), file
    )
    found = readable(file, kind_of(file, file.name), LogFormat(), tmp_path / "rows.parquet", BOUNDS)
    assert (found.parquet, found.rows, found.is_converted) == (file, 1, False)


def test_a_list_in_a_column_of_parquet_is_refused_with_what_to_say(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"event_time": ["t"], "session_id": ["s"], "product_id": [["p"]]}), tmp_path / "log.parquet"
    )
    with pytest.raises(BadInput, match=r'in column product_id, got list<.*with a dot in LOG_FORMAT .* as "items"'):
        read(tmp_path / "log.parquet", LogFormat())
    (row,) = read(tmp_path / "log.parquet", LogFormat(items="product_id"))[0]
    assert row["product_id"] == "p"


def test_items_that_repeat_much_of_their_record_are_bounded(tmp_path: Path) -> None:
    log_format = LogFormat(items="items", columns={"product_id": "items"})
    note = "x" * 100_000
    first, second = rows_of({"items": ["a", "b"], "note": note, "session_id": note}, log_format)
    assert first["rest"] == second["rest"] and len(first["rest"] or "") < 4_200
    assert len(first["session_id"] or "") == 4_097  # which is refused as an id that long is
    with pytest.raises(ValueError, match="items holds 10,001 items, more than 10,000"):
        rows_of({"items": list(range(10_001))}, log_format)
    file = tmp_path / "log.jsonl"
    row = {"event_time": "t", "session_id": "s", "note": note[:4_000], "items": list(range(9_000))}
    file.write_text((json.dumps(row) + "\n") * 3)
    rows, _ = read(file, log_format)
    assert len(rows) == 27_000
