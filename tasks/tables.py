"""Tables in files: what came from outside is read as text by DuckDB, or refused by the file's name."""

import csv
import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from uuid import uuid4

import duckdb
import ibis
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from ibis.backends.duckdb import Backend

from tasks.errors import BadInput

SUFFIXES = (
    *(".parquet", ".csv", ".csv.gz", ".csv.zst"),
    *(".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".json.zst"),
)
ROWS_AT_ONCE = 1 << 20


@contextmanager
def duckdb_engine() -> Iterator[Backend]:
    """An engine in memory that spills to a temporary folder and works in UTC."""
    with tempfile.TemporaryDirectory() as spill:
        engine = ibis.duckdb.connect(temp_directory=spill)
        try:
            yield engine
        finally:
            engine.disconnect()


def place(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL and the path in it; listings are never cached, because others write there."""
    files, path = url_to_fs(url, use_listings_cache=False)
    return files, path


@contextmanager
def local_copies(files: AbstractFileSystem, paths: Sequence[str]) -> Iterator[list[Path]]:
    """Local paths of files: their own where they are local, else copies that go afterwards."""
    if "file" in files.protocol:
        yield [Path(path) for path in paths]
        return
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder, *PurePosixPath(path).parts[-2:]) for path in paths]
        for path, copy in zip(paths, copies, strict=True):
            copy.parent.mkdir(exist_ok=True)
            files.get_file(path, str(copy))
        yield copies


def read_table(engine: Backend, file: Path, required: Sequence[str]) -> ibis.Table:
    """Every row and column of a file as text, blank text as null; the suffix says the format.

    A column named *_id holds whole numbers without a trailing ".0", whichever type or text they came as.
    Raises BadInput, naming the file, for an unknown suffix, content that the suffix does not promise (with the line
    where the reader gives it) or, in a file with rows, a required column that is absent.
    """
    shown = f"{file.parent.name}/{file.name}"
    suffix = suffix_of(file.name)
    try:
        table = materialise(engine, _as_text(_open(engine, file, suffix), typed=suffix == ".parquet"))
        rows = table.count().execute()
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, gzip.BadGzipFile, zlib.error, csv.Error, EOFError, UnicodeDecodeError) as error:
        raise BadInput(f"{shown} does not read as {suffix}: {_reason(error)}; write the file again") from error
    missing = [name for name in required if name not in table.columns]
    if missing and rows:
        raise BadInput(
            f"{shown} has no column {', '.join(missing)}; its columns are {', '.join(table.columns)}: "
            f"name the columns {', '.join(required)}"
        )
    return table.mutate(**{name: ibis.null("string") for name in missing})


def materialise(engine: Backend, table: ibis.Table) -> ibis.Table:
    """Compute a table once and keep it in the engine."""
    return engine.create_table(f"rows_{uuid4().hex}", table, temp=True)


def write_parquet(table: ibis.Table, file: Path) -> int:
    """Write a table batch by batch and return its number of rows; raises OSError where the disk is full."""
    rows = 0
    with pq.ParquetWriter(file, table.schema().to_pyarrow()) as writer:
        for batch in table.to_pyarrow_batches(chunk_size=ROWS_AT_ONCE):
            writer.write_batch(batch)
            rows += len(batch)
    return rows


def suffix_of(name: str) -> str:
    """The accepted suffix that a file name ends in; raises BadInput, listing them, for any other."""
    suffix = "".join(PurePosixPath(name.lower()).suffixes[-2:])
    for accepted in SUFFIXES:
        if suffix.endswith(accepted):
            return accepted
    raise BadInput(f"{name} has no known suffix: accepted are {', '.join(SUFFIXES)}; rename, convert or remove it")


def _open(engine: Backend, file: Path, suffix: str) -> ibis.Table:
    kind, compression = suffix.removesuffix(".gz"), "gzip" if suffix.endswith(".gz") else "uncompressed"
    if compression == "gzip":
        _check_gzip(file)
    if kind == ".parquet":
        return engine.read_parquet(str(file), hive_partitioning=False)
    # The folder date=... must not become a column.
    layout = {"compression": compression, "hive_partitioning": False}
    if kind == ".csv":
        columns = dict.fromkeys(_header(file, compression), "VARCHAR")
        dialect = {"auto_detect": False, "header": True, "delim": ",", "quote": '"', "escape": '"'}
        return engine.read_csv(str(file), columns=columns, **dialect, **layout)
    layout["format"] = "newline_delimited" if kind == ".jsonl" else "auto"
    keys = engine.read_json(str(file), sample_size=-1, maximum_depth=1, **layout).columns
    return engine.read_json(str(file), columns=dict.fromkeys(keys, "VARCHAR"), **layout)


def _check_gzip(file: Path) -> None:
    """DuckDB reads a gzip file that was cut off as if it ended there; Python notices."""
    with gzip.open(file) as content:
        while content.read(1 << 20):
            pass


def _header(file: Path, compression: str) -> list[str]:
    """The names in the first line; DuckDB would guess at them, and a guessed dialect drops rows that start with #."""
    opener = gzip.open if compression == "gzip" else open
    with opener(file, "rt", encoding="utf-8-sig", newline="") as lines:
        names = next(csv.reader(lines), []) or ["nothing"]
    if len(set(names)) < len(names):
        raise csv.Error(f"a column occurs twice in its header {','.join(names)}")
    return names


def _as_text(table: ibis.Table, *, typed: bool) -> ibis.Table:
    columns = {}
    for name, dtype in table.schema().items():
        column = ibis.ifelse(table[name].isnan(), None, table[name]) if dtype.is_floating() else table[name]
        text = column.cast("string")
        if name.endswith("_id") and not (typed and dtype.is_string()):
            text = text.re_replace(r"^(-?\d+)\.0+$", r"\1")
        columns[name] = ibis.ifelse(text.strip() == "", None, text)
    return table.select(**columns)


def _reason(error: Exception) -> str:
    """The reader's own words, without its advice on how to call it; DuckDB 1.5 counts a line too many in JSON."""
    words = re.split(r"Possible|\n\nLINE 1", str(error), maxsplit=1)[0]
    words = re.sub(r"in line (\d+):", lambda line: f"in line {int(line[1]) - 1}:", words)
    return " ".join(words.split()).removesuffix(".")
