"""Parquet with lists of items as rows, one an item: by blocks of columns, and the same made record by record."""

import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console

from tasks.ingest.input_files import Bounds
from tasks.ingest.log_format import LogFormat
from tasks.ingest.parquet_rows import by_record, parquet_to_rows
from tasks.ingest.parsed_file import ParsedFile, write_rows
from tasks.ingest.unreadable import UnreadableLines

console = Console(stderr=True)
FORMATS = {
    "orders": LogFormat(
        items="lines", columns={"product_id": "lines.sku", "session_id": "order", "user_id": "buyer.id"}
    ),
    "ga4": LogFormat(preset="ga4"),
}
AT_ONCE = 1 << 16


def main(rows: Annotated[int, typer.Option(help="rows of each file, at least")] = 1_000_000) -> None:
    """Make orders with a buyer and lines, and events of GA4 with its many fields; ends with one JSON line.

    rows_a_second: of a processor's time, with all that is written of each row; by_record: the slow way.
    """
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, log_format in FORMATS.items():
            console.print(f"making {name}", style="dim")
            file, bounds = _made(name, rows, Path(scratch)), Bounds(1 << 40, 1 << 50)
            begin = time.process_time()
            parsed = parquet_to_rows(file, log_format, Path(scratch, "rows.parquet"), bounds)
            ours = time.process_time() - begin
            begin = time.process_time()
            slow = ParsedFile(log_format, UnreadableLines(Path(scratch, "rows.unreadable")))
            write_rows(by_record(_columns(file, log_format), slow, bounds), slow, Path(scratch, "slow.parquet"))
            slowly = time.process_time() - begin
            assert pq.read_table(Path(scratch, "rows.parquet")).equals(pq.read_table(Path(scratch, "slow.parquet")))
            result[name] = {"rows": parsed.rows, "rows_a_second": round(parsed.rows / ours),
                            "by_record": round(slow.rows / slowly)}  # fmt: skip
    print(json.dumps(result))


def _made(name: str, rows: int, folder: Path) -> Path:
    chance, made, file = random.Random(1), 0, folder / f"{name}.parquet"  # noqa: S311
    writer: pq.ParquetWriter | None = None
    while made < rows:
        records = [(_order if name == "orders" else _event)(made + place, chance) for place in range(AT_ONCE)]
        made += sum(len(record["lines" if name == "orders" else "items"]) for record in records)
        table = pa.Table.from_pylist(records)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
    return file


def _order(place: int, chance: random.Random) -> dict[str, Any]:
    line = {"sku": "", "quantity": 2, "price": 9.5}
    lines = [line | {"sku": f"p{chance.randrange(100_000)}"} for _ in range(1 + place % 5)]
    return {"event_time": f"2017-06-30 {place % 24:02}:00:00", "order": f"o{place}", "shop": "web", "lines": lines,
            "buyer": {"id": f"u{place // 3}", "country": "DE"}}  # fmt: skip


def _event(place: int, chance: random.Random) -> dict[str, Any]:
    names = ("item_name", "item_brand", "item_variant", "item_category", "item_category2", "coupon", "item_list_name")
    item: dict[str, Any] = dict.fromkeys(names, "(not set)") | {"price": 9.5, "quantity": 1, "price_in_usd": 10.45}
    items = [item | {"item_id": f"p{chance.randrange(100_000)}", "item_params": []} for _ in range(1 + place % 3)]
    page = {"key": "page_location", "value": {"string_value": "https://shop.example/", "int_value": None}}
    return {"event_date": "20170630", "event_timestamp": 1498816800000000 + place, "event_name": "view_item",
            "event_params": [page], "user_pseudo_id": f"{place // 7}.1", "device": {"category": "mobile"},
            "platform": "WEB", "items": items}  # fmt: skip


def _columns(file: Path, log_format: LogFormat) -> Iterator[dict[str, pa.Array]]:
    """The columns that `parquet_to_rows` reads, a few rows at a time."""
    content = pq.ParquetFile(file)
    names = [
        field.name
        for field in content.schema_arrow
        if field.name in log_format.wanted or not pa.types.is_nested(field.type)
    ]
    for batch in content.iter_batches(256, columns=names):
        yield {name: batch[name] for name in names}


if __name__ == "__main__":
    typer.run(main)
