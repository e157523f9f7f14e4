"""Cleaned clicks of a day become the small files that nights add up: products and pairs, with their sessions."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import NotReady
from tasks.ingest import cooccurrence as pairs
from tasks.ingest.clicks import OWN, Piece, opened, pieces_of
from tasks.ingest.engine import Int64s, count_rows, open_engine, read_parquet, value_counts
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import check_database
from tasks.stores.ledger import record_aggregate

BATCHES_OF_A_GROUP = 8  # in a row group
DELTA, BYTE_BY_BYTE = "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"
ENCODINGS = (DELTA, BYTE_BY_BYTE, DELTA, DELTA)  # of columns in the order of their keys: only the second jumps
PAIR_TYPES = (pa.int32(), pa.int32(), pa.int8(), pa.int32())
TOGETHER = pa.schema(list(zip(("product_i", "product_j", "event_type", "sessions"), PAIR_TYPES, strict=True)))
FOLLOWED = pa.schema(list(zip(("query", "related", "event_type", "sessions"), PAIR_TYPES, strict=True)))


def aggregate_clicks(night: Night, settings: Settings) -> dict[str, float]:
    """Aggregate the night's own day, and days before it whose clicks have changed since, late ones included.

    Writes aggregates/date=D: products.parquet (product_id, sessions), together.parquet (pairs that lead both ways,
    product_i < product_j) and followed.parquet (query to related); products are rows of products.parquet, event_type a
    place in EVENT_TYPES. Raises NotReady where the night's own day is not ingested.
    """
    check_database(settings)  # a database that is away must stop the step before the aggregates are replaced
    storage = Storage(settings.storage_url)
    if not storage.complete(Night.clicks(night.day)):
        raise NotReady(f"the clicks of {night} are not ingested: run ingest_clicks --night {night}")
    counts: dict[str, float] = aggregate(night.day, storage, settings)
    days_before = [night.day - timedelta(days=days) for days in range(1, settings.lateness_days + 1)]
    changed = [day for day in days_before if is_stale(day, storage, settings)]
    for day in changed:
        aggregate(day, storage, settings)
    return counts | {"days_before_made_anew": len(changed)}


def is_stale(day: date, storage: Storage, settings: Settings) -> bool:
    """Whether the day's own clicks are there and its aggregates are missing or made of other clicks or settings."""
    pieces = pieces_of(day, storage, settings)
    if not any(piece.folder == OWN for piece in pieces):
        return False
    path = Night.aggregate(day)
    return not storage.complete(path) or storage.read(path).sources != _sources(pieces, settings)


def aggregate(day: date, storage: Storage, settings: Settings) -> dict[str, float]:
    """Make one day's aggregates from its own clicks and the late ones; returns the counts."""
    pieces = pieces_of(day, storage, settings)
    with (
        storage.write(Night.aggregate(day), sources=_sources(pieces, settings)) as (folder, counts),
        opened(pieces, storage) as files,
        open_engine(settings) as engine,
    ):
        clicks = read_parquet(engine, files)
        counts |= _write(clicks, folder, settings)
    record_aggregate(day, storage.read(Night.aggregate(day)), settings)
    return counts


def _sources(pieces: Sequence[Piece], settings: Settings) -> dict[str, str]:
    return {piece.name: piece.hash for piece in pieces} | {"pairing": pairs.pairing(settings)}


def _write(clicks: ibis.Table, folder: Path, settings: Settings) -> dict[str, int]:
    products = pairs.products_of(clicks)
    count = count_rows(products)
    sessions = pairs.sessions_of(clicks, products)
    baskets, too_large = pairs.baskets_of(sessions, settings)
    both_ways, one_way = pairs.together(baskets, count, settings), pairs.followed(clicks, products, count)
    if settings.pair_direction == "later":
        one_way = one_way.union(pairs.later(baskets, count, settings))
    with ThreadPoolExecutor(1) as executor:  # pyarrow writes with one thread while the engine goes on with all
        together = executor.submit(
            _write_counted, value_counts(both_ways), count, TOGETHER, folder / "together.parquet"
        )
        _write_products(products, sessions, folder)
        rows = _write_counted(value_counts(one_way), count, FOLLOWED, folder / "followed.parquet") + together.result()
    totals = {"sessions": count_rows(sessions), "products": count, "pairs": rows}
    return {name: int(total) for name, total in totals.items()} | {"too_large_sessions": too_large}


def _write_products(products: ibis.Table, sessions: ibis.Table, folder: Path) -> None:
    held = pairs.count_products(sessions)
    listed = products.left_join(held, "product").order_by("product")
    rows = listed.select("product_id", sessions=listed.sessions.fill_null(0).cast("int32")).to_pyarrow()
    pq.write_table(rows, folder / "products.parquet", compression="zstd")


def _write_counted(counted: Iterator[tuple[Int64s, Int64s]], products: int, schema: pa.Schema, file: Path) -> int:
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
