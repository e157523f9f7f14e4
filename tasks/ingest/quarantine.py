"""Refused rows in a file: which rule refused them, in which file and row they were, and their content."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.engine import FILE, ROW, ROWS_FETCHED
from tasks.ingest.log_format import COLUMNS, LIST_COLUMNS
from tasks.ingest.mentions import NamesUser, names_erased_user
from tasks.ingest.parsed_file import LINE, REST
from tasks.ingest.reading import RawLog
from tasks.ingest.rules import ERASED_USER, UNREADABLE_LINE
from tasks.ingest.times import TIME_TEXT
from tasks.stores.ledger import ErasedUsers

QUARANTINE = "quarantine.parquet"
CONTENT = (*COLUMNS, REST)
SCHEMA = pa.schema(
    [("rule", pa.string()), ("file", pa.string()), ("row", pa.int64()), *((name, pa.string()) for name in CONTENT)]
)


def write_quarantine(refused: ibis.Table | None, log: RawLog, erased: ErasedUsers, folder: Path) -> dict[str, int]:
    """Write quarantine.parquet by file and row, unreadable lines last; returns the rows by rule.

    refused: the log's rows with `rule`. Rows of erased users, and that name one, keep rule, file and row alone.
    """
    counts: Counter[str] = Counter()
    names_user = names_erased_user(erased)
    with pq.ParquetWriter(folder / QUARANTINE, SCHEMA, compression="zstd") as writer:
        for batch in chain(_batches(refused, log), _unreadable(log)):
            writer.write_batch(blank(batch, naming(batch, names_user)) if erased.user_hashes else batch)
            counts.update({pair["values"]: pair["counts"] for pair in pc.value_counts(batch["rule"]).to_pylist()})
    return {rule: rows for rule, rows in sorted(counts.items()) if rows}


def _batches(refused: ibis.Table | None, log: RawLog) -> Iterator[pa.RecordBatch]:
    if refused is None:
        return
    kept = refused.rule != ERASED_USER
    texts = {name: refused[name] for name in CONTENT}
    texts["event_time"] = ibis.coalesce(refused[TIME_TEXT], refused.event_time.cast("string"))
    texts[REST] = _with_list_columns(refused)
    content = {name: kept.ifelse(text, None) for name, text in texts.items()}
    ordered = refused.select("rule", FILE, ROW, LINE, **content).order_by(FILE, ROW)
    names = pa.array(log.names, pa.string())
    for batch in ordered.to_pyarrow_batches(chunk_size=ROWS_FETCHED):
        columns = [batch["rule"], names.take(batch[FILE]), batch[LINE], *(batch[name] for name in CONTENT)]
        typed = [column.cast(kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
        yield pa.record_batch(typed, SCHEMA)


def _with_list_columns(refused: ibis.Table) -> ibis.Value:
    """The columns of shown lists stand with those that are none of ours."""
    texts = [refused[REST], *(ibis.literal(f"{name}=") + refused[name] for name in LIST_COLUMNS)]
    return ibis.literal("; ").join(texts).nullif("")  # which leaves out what is null


def naming(rows: pa.RecordBatch | pa.Table, names_user: NamesUser, hint: str = "") -> pa.Array:
    """Which quarantined rows name a user in any column, as a whole or as words within it.

    hint: a part of every text that does, which is faster to look for.
    """
    mask = np.zeros(len(rows), bool)
    for name in CONTENT:
        delivered = _without_our_words(rows) if name == REST else rows[name]
        texts = pc.unique(delivered.drop_null())
        candidates = texts.filter(pc.match_substring(texts, hint)).to_pylist()
        named = pa.array([text for text in candidates if names_user(text)], pa.string())
        mask |= np.asarray(pc.is_in(delivered, named))
    return pa.array(mask)


def _without_our_words(rows: pa.RecordBatch | pa.Table) -> pa.Array | pa.ChunkedArray:
    """Unreadable lines without the reason before them, which may hold any number."""
    lines = pc.replace_substring_regex(rows[REST], r"^[^:]*: ", "")
    return pc.if_else(pc.equal(rows["rule"], UNREADABLE_LINE), lines, rows[REST])


def blank(rows: pa.RecordBatch | pa.Table, which: pa.Array | pa.ChunkedArray) -> pa.RecordBatch | pa.Table:
    """Quarantined rows of which some keep rule, file and row, and lose their content."""
    nothing = pa.scalar(None, pa.string())
    columns = [pc.if_else(which, nothing, rows[name]) if name in CONTENT else rows[name] for name in SCHEMA.names]
    return type(rows).from_arrays(columns, schema=SCHEMA)


def _unreadable(log: RawLog) -> Iterator[pa.RecordBatch]:
    for number, lines in log.unreadable():
        absent = pa.nulls(len(lines), pa.string())
        columns = {
            "rule": pa.array([UNREADABLE_LINE] * len(lines), pa.string()),
            "file": pa.array([log.names[number]] * len(lines), pa.string()),
            "row": pa.array([line.line for line in lines], pa.int64()),
            REST: pa.array([f"{line.why}: {line.beginning}" for line in lines], pa.string()),
        }
        yield pa.record_batch([columns.get(field.name, absent) for field in SCHEMA], SCHEMA)
