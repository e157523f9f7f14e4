"""Nested Parquet by blocks of columns gives the rows, and the refusals, that it gives record by record."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.ingest import parquet_rows
from tasks.ingest.input_files import Bounds
from tasks.ingest.log_format import LogFormat
from tasks.ingest.nested_blocks import ByRecordError, NestedBlocks
from tasks.ingest.parquet_rows import by_record, parquet_to_rows
from tasks.ingest.parsed_file import ParsedFile, write_rows
from tasks.ingest.unreadable import UnreadableLines
from tasks.settings import Settings

BOUNDS = Bounds.of(Settings(_env_file=None))
PRODUCT = pa.struct([("id", pa.string()), ("tags", pa.list_(pa.string()))])
ITEM = pa.struct(
    [("id", pa.string()), ("n", pa.int32()), ("price", pa.float64()), ("at", pa.timestamp("ms")), ("product", PRODUCT)]
)
SCHEMA = pa.schema(
    [
        ("event_time", pa.timestamp("us", "UTC")), ("session_id", pa.large_string()), ("event_id", pa.string()),
        ("user", pa.struct([("id", pa.string()), ("alt", pa.int64())])), ("user.alt", pa.float32()),
        ("sku", pa.dictionary(pa.int32(), pa.string())), ("total", pa.decimal128(9, 2)), ("paid", pa.bool_()),
        ("day", pa.date32()), ("nothing", pa.null()), ("filename", pa.string()), ("items", pa.list_(ITEM)),
        ("ids", pa.list_(pa.int64())),
    ]
)  # fmt: skip
TIMES = (None, datetime(1, 1, 2), datetime(2017, 6, 30, 10, 5, 3, 120_000), datetime(9999, 12, 30))
TEXTS = (None, "", " ", "\x1c", "\u2003", "\0", '{"a": 1}', "x" * 30, "a", "\u00e9; b=1")
WHOLES, DOUBLES = (None, 1, -5, 2**63 - 1), (None, 0.0, -0.0, 9.5, 1e20, 1e-7, -1e308, float("nan"), float("inf"))
OWN = {"user_id": ["user.id", "user.alt", "user.nowhere"], "event_type": "paid"}
FORMATS: dict[str, dict[str, Any]] = {
    "items": {"items": "items", "columns": OWN | {"product_id": ["items.product.id", "items.id", "sku"]}},
    "ids of items": {"items": "items", "columns": {"event_id": "items.id", "product_id": ["items.n"]}},
    "plain ids": {"items": "ids", "columns": OWN | {"product_id": "ids"}},
    "no items": {"columns": OWN | {"product_id": ["sku", "total"], "event_time": ["event_time", "day"]}},
}


def record(chance: random.Random) -> dict[str, Any]:
    one, text = chance.choice, lambda: chance.choice(TEXTS)
    time = one(TIMES)

    def some(make: Any) -> list[Any] | None:
        return one([None, *[[make() for _ in range(chance.randrange(6))]] * 3])

    def item() -> dict[str, Any] | None:
        product = one([None, {"id": text(), "tags": one([None, [], [text()]])}])
        return one([None, *[{"id": text(), "n": one([None, 0, 3]), "price": one(DOUBLES), "at": one(TIMES),
                             "product": product}] * 4])  # fmt: skip

    return {
        "event_time": time and time.replace(tzinfo=UTC), "session_id": text(), "event_id": text(), "nothing": None,
        "user": one([None, {"id": text(), "alt": one(WHOLES)}]), "user.alt": one([None, 1.5, 2.0]), "sku": text(),
        "total": one([None, Decimal("1.50"), Decimal("-0.01"), Decimal("7.00")]), "paid": one([None, True, False]),
        "day": one([None, date(2017, 6, 30)]), "filename": text(), "items": some(item),
        "ids": some(lambda: one(WHOLES)),
    }  # fmt: skip


def rows_of(parsed: ParsedFile, target: Path) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
    lines = [tuple(line) for some in parsed.unreadable.batches() for line in some]
    return pq.read_table(target).to_pylist(), sorted(lines)


def record_by_record(file: Path, log_format: LogFormat, target: Path) -> tuple[list[dict[str, Any]], list[Any]]:
    parsed = ParsedFile(log_format, UnreadableLines(target.with_suffix(".unreadable")))
    columns = {
        name: column.combine_chunks().cast(pa.string()) if name == "sku" else column.combine_chunks()
        for name, column in zip(SCHEMA.names, pq.read_table(file).columns, strict=True)
        if parquet_rows.is_plain(SCHEMA.field(name).type) or name in log_format.wanted
    }
    write_rows(by_record(iter([columns]), parsed, BOUNDS), parsed, target)
    return rows_of(parsed, target)


@pytest.mark.parametrize("name", list(FORMATS))
def test_blocks_give_what_records_give(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {
        "nested.MAX_ITEMS": 4, "parquet_rows.MAX_ITEMS": 4, "nested.MAX_SHARED": 20, "nested_blocks.MAX_SHARED": 20,
        "nested_blocks.MAX_CHARACTERS": 200, "parquet_rows.ROWS_AT_ONCE": 2, "parquet_rows.BLOCKS_TOGETHER": 3,
    }  # fmt: skip
    for constant, value in small.items():
        monkeypatch.setattr(f"tasks.ingest.{constant}", value)
    log_format, file, chance = LogFormat.model_validate(FORMATS[name]), tmp_path / "log.parquet", random.Random(name)
    fields = {field.name: pa.string() if field.name == "sku" else field.type for field in SCHEMA}
    NestedBlocks(fields, log_format)  # it goes by blocks
    for _ in range(25):
        records = [record(chance) for _ in range(chance.randrange(1, 13))]
        pq.write_table(pa.Table.from_pylist(records, SCHEMA), file)
        found = rows_of(parquet_to_rows(file, log_format, tmp_path / "a.parquet", BOUNDS), tmp_path / "a.parquet")
        assert found == record_by_record(file, log_format, tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"a": pa.string()}, {"columns": {"product_id": "a.id"}}),  # JSON, perhaps
        ({"items": pa.string()}, {"items": "items", "columns": {"product_id": "items.id"}}),
        ({"items": pa.list_(pa.string())}, {"items": "items", "columns": {"product_id": "items.id"}}),
        ({"p": pa.list_(pa.struct({"key": pa.string(), "value": pa.string()}))}, {"columns": {"user_id": "p.user"}}),
        ({"a": pa.struct({"id": pa.binary()})}, {"columns": {"product_id": "a.id"}}),
        ({"a": pa.struct({"id": pa.list_(pa.string())})}, {"columns": {"product_id": "a.id"}}),
        ({"a": pa.struct({"b": pa.list_(pa.string())})}, {"items": "a.b", "columns": {"product_id": "a.b"}}),
    ],
)
def test_where_values_say_what_lies_under_a_name_records_are_read(fields: Any, said: Any) -> None:
    with pytest.raises(ByRecordError):
        NestedBlocks(fields, LogFormat.model_validate(said))


def test_a_time_that_cannot_be_costs_itself_alone(tmp_path: Path) -> None:
    at = pa.array([2**62, 0], pa.timestamp("us"))
    items = pa.ListArray.from_arrays([0, 2], pa.StructArray.from_arrays([pa.array(["p", "q"]), at], ["id", "at"]))
    pq.write_table(
        pa.table({"event_time": ["2017-06-30"], "session_id": ["s"], "items": items}), tmp_path / "a.parquet"
    )
    log_format = LogFormat(items="items", columns={"product_id": "items.id"})
    parsed = parquet_to_rows(tmp_path / "a.parquet", log_format, tmp_path / "b.parquet", BOUNDS)
    rows, _ = rows_of(parsed, tmp_path / "b.parquet")
    assert [(row["product_id"], row["rest"]) for row in rows] == [("p", None), ("q", "items.at=1970-01-01 00:00:00")]
