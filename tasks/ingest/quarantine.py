"""Refused rows in a file: which rule refused them, in which file and row they were, and their content."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.engine import FILE, ROW, ROWS_FETCHED
from tasks.ingest.log_format import COLUMNS
from tasks.ingest.reading import TIME_TEXT, RawLog
from tasks.ingest.rules import ERASED_USER, UNREADABLE_LINE
from tasks.ingest.text_files import REST
from tasks.ingest.unreadable import Unreadable
from tasks.stores.ledger import ErasedUsers

QUARANTINE = "quarantine.parquet"
CONTENT = (*COLUMNS, REST)
SCHEMA = pa.schema(
    [("rule", pa.string()), ("file", pa.string()), ("row", pa.int64()), *((name, pa.string()) for name in CONTENT)]
)


def write_quarantine(refused: ibis.Table | None, log: RawLog, erased: ErasedUsers, folder: Path) -> dict[str, int]:
    """Write quarantine.parquet by file and row, unreadable lines last; returns the rows by rule.

    refused: the log's rows with `rule`. Rows of erased users keep rule, file and row alone.
    """
    counts: Counter[str] = Counter()
    with pq.ParquetWriter(folder / QUARANTINE, SCHEMA, compression="zstd") as writer:
        for batch in _batches(refused, log, erased):
            writer.write_batch(batch)
            counts.update({pair["values"]: pair["counts"] for pair in pc.value_counts(batch["rule"]).to_pylist()})
        for number, lines in log.unreadable():
            writer.write_batch(_unreadable(log.names[number], lines, erased))
            counts[UNREADABLE_LINE] += len(lines)
    return {rule: rows for rule, rows in sorted(counts.items()) if rows}


def _batches(refused: ibis.Table | None, log: RawLog, erased: ErasedUsers) -> Iterator[pa.RecordBatch]:
    if refused is None:
        return
    kept = refused.rule != ERASED_USER
    texts = {name: refused[name] for name in CONTENT}
    texts["event_time"] = ibis.coalesce(refused[TIME_TEXT], refused.event_time.cast("string"))
    content = {name: kept.ifelse(text, None) for name, text in texts.items()}
    ordered = refused.select("rule", FILE, ROW, **content).order_by(FILE, ROW)
    names = pa.array(log.names, pa.string())
    for batch in ordered.to_pyarrow_batches(chunk_size=ROWS_FETCHED):
        columns = [batch["rule"], names.take(batch[FILE]), batch[ROW], *(batch[name] for name in CONTENT)]
        typed = [column.cast(kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
        yield _blanked(pa.record_batch(typed, SCHEMA), erased)


def _blanked(rows: pa.RecordBatch, erased: ErasedUsers) -> pa.RecordBatch:
    """The rows, without the content of those that name an erased user in any column."""
    if not erased.user_hashes:
        return rows
    texts = zip(*(rows[name].to_pylist() for name in CONTENT), strict=True)
    named = pa.array([any(_names_erased_user(text, erased) for text in row if text) for row in texts], pa.bool_())
    return blank(rows, named)


def blank(rows: pa.RecordBatch | pa.Table, which: pa.Array | pa.ChunkedArray) -> pa.RecordBatch | pa.Table:
    """Quarantined rows of which some keep rule, file and row, and lose their content."""
    nothing = pa.scalar(None, pa.string())
    columns = [pc.if_else(which, nothing, rows[name]) if name in CONTENT else rows[name] for name in SCHEMA.names]
    return type(rows).from_arrays(columns, schema=SCHEMA)


def _unreadable(name: str, lines: Sequence[Unreadable], erased: ErasedUsers) -> pa.RecordBatch:
    texts = [
        None if erased.user_hashes and _names_erased_user(line.beginning, erased) else f"{line.why}: {line.beginning}"
        for line in lines
    ]
    absent = pa.nulls(len(lines), pa.string())
    columns = {
        "rule": pa.array([UNREADABLE_LINE] * len(lines), pa.string()),
        "file": pa.array([name] * len(lines), pa.string()),
        "row": pa.array([line.line for line in lines], pa.int64()),
        REST: pa.array(texts, pa.string()),
    }
    return pa.record_batch([columns.get(field.name, absent) for field in SCHEMA], SCHEMA)


def _names_erased_user(text: str, erased: ErasedUsers) -> bool:
    """Whether a word of the text is the id of an erased user."""
    words = {text, *re.split(r'[\s,;:"{}\[\]=]+', text)}
    hashes = {hashlib.sha256(f"{erased.salt}{word}".encode()).hexdigest() for word in words}
    return not hashes.isdisjoint(erased.user_hashes)
