"""The files in which products and pairs of products are kept with the sessions that hold them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from eclare.related.daily_cooccurrence import DayCooccurrence
from tasks.ingest import cooccurrence as pairs
from tasks.ingest.engine import Int64s, count_rows, value_counts
from tasks.settings import Settings

BATCHES_OF_A_GROUP = 8  # in a row group
DELTA, BYTE_BY_BYTE = "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"
ENCODINGS = (DELTA, BYTE_BY_BYTE, DELTA, DELTA)  # of columns in the order of their keys: only the second jumps
PAIR_TYPES = (pa.int32(), pa.int32(), pa.int8(), pa.int32())
TOGETHER = pa.schema(list(zip(("product_i", "product_j", "event_type", "sessions"), PAIR_TYPES, strict=True)))
FOLLOWED = pa.schema(list(zip(("query", "related", "event_type", "sessions"), PAIR_TYPES, strict=True)))


def write_counted(clicks: ibis.Table, fitting: ibis.Table, folder: Path, settings: Settings) -> dict[str, int]:
    """Count products and pairs of clicks whose sessions are whole; returns how many there are of each.

    clicks: their products are listed; fitting: those of them that count (without_large_sessions). Writes
    products.parquet (product_id, sessions), together.parquet (pairs that lead both ways, product_i < product_j) and
    followed.parquet (query to related); products are rows of products.parquet, event_type a place in EVENT_TYPES.
    """
    products = pairs.products_of(clicks)
    count = count_rows(products)
    sessions = pairs.sessions_of(fitting, products)
    baskets = pairs.baskets_of(sessions)
    both_ways, one_way = pairs.together(baskets, count, settings), pairs.followed(fitting, products, count)
    if settings.pair_direction == "later":
        one_way = one_way.union(pairs.later(baskets, count, settings))
    with ThreadPoolExecutor(1) as executor:  # pyarrow writes with one thread while the engine goes on with all
        together = executor.submit(write_pairs, value_counts(both_ways), count, TOGETHER, folder / "together.parquet")
        _write_products(products, sessions, folder)
        rows = write_pairs(value_counts(one_way), count, FOLLOWED, folder / "followed.parquet") + together.result()
    totals = {"sessions": count_rows(sessions), "products": count, "pairs": rows}
    return {name: int(total) for name, total in totals.items()}


def read_pairs(folder: Path, age: int) -> Iterator[DayCooccurrence]:
    """The pairs that lead both ways, then those that lead one way; products are rows of the folder's own products."""
    for name in ("together", "followed"):
        columns = [column.to_numpy() for column in pq.read_table(folder / f"{name}.parquet").columns]
        yield DayCooccurrence(age, name == "together", *columns)


def _write_products(products: ibis.Table, sessions: ibis.Table, folder: Path) -> None:
    held = pairs.count_products(sessions)
    listed = products.left_join(held, "product").order_by("product")
    rows = listed.select("product_id", sessions=listed.sessions.fill_null(0).cast("int32")).to_pyarrow()
    pq.write_table(rows, folder / "products.parquet", compression="zstd")


def write_pairs(counted: Iterator[tuple[Int64s, Int64s]], products: int, schema: pa.Schema, file: Path) -> int:
    """Write a row for each distinct key; returns the rows."""
    rows = 0
    encodings = dict(zip(schema.names, ENCODINGS, strict=True))
    # lz4 is read much faster than zstd, and nights read 90 of these files.
    with pq.ParquetWriter(file, schema, compression="lz4", use_dictionary=False, column_encoding=encodings) as writer:
        batches = (_batch(distinct, sessions, products, schema) for distinct, sessions in counted)
        while group := list(islice(batches, BATCHES_OF_A_GROUP)):
            writer.write_table(pa.Table.from_batches(group))
            rows += sum(map(len, group))
    return rows


def _batch(keys: Int64s, sessions: Int64s, products: int, schema: pa.Schema) -> pa.RecordBatch:
    columns = (*pairs.split_keys(keys, products), sessions)
    return pa.record_batch(
        [pa.array(column).cast(kind) for column, kind in zip(columns, PAIR_TYPES, strict=True)], schema
    )
