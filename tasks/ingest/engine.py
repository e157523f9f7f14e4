"""The engines that compute over clicks: DuckDB on one machine, Spark beyond it, by the same ibis expressions."""

import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import duckdb
import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends import BaseBackend
from ibis.backends.duckdb import Backend as DuckDB
from ibis.expr import datatypes as dt
from ibis.expr import operations as ops

from tasks.errors import BadInput, NotReady
from tasks.settings import Settings

ROWS_AT_ONCE = 1 << 20
ROWS_FETCHED = 1 << 14  # of texts, some of them long, that the engine hands over in its own memory
KEYS_AT_ONCE = 1 << 17  # what a processor's cache holds
BATCHES_TOGETHER = 32  # of keys that are put into a table
KEYS_IN_MEMORY = 1 << 26  # half a GiB of numbers that numpy sorts faster than any engine
# The fastest to write for ids that hardly repeat, and to read: version 2 keeps lengths and times as differences.
WRITING = {"compression": "zstd", "compression_level": 1, "dictionary_size_limit": 1_000, "parquet_version": "v2"}
ENGINE_REFUSAL = "the engine must be able to read its input, got"
FILE, ROW = "file_number", "row_number"

Int64s = npt.NDArray[np.int64]
Step: TypeAlias = Callable[[ibis.Table], ibis.Table]  # `named` or `materialise`


class _DuckDB(DuckDB):  # type: ignore[misc]
    """DuckDB that writes SQL once for all expressions that are equal, which takes longer than to compute over few rows.

    Days of a log are read by equal ones: tables are called by their number, and one engine's count as another's.
    """

    db_identity = "one of ours"

    def __init__(self) -> None:
        super().__init__()
        self._names = count(1)

    def new_name(self) -> str:
        """Of a table."""
        return f"rows_{next(self._names)}"

    def compile(self, expr: ibis.Expr, /, **options: Any) -> str:
        """The SQL of an expression."""
        given = {name: value for name, value in options.items() if value is not None and value is not False}
        return super().compile(expr, **given) if given else _sql_of(expr.op())


@lru_cache(1 << 9)
def _sql_of(op: ops.Node) -> str:
    sql: str = DuckDB.compile(_DuckDB(), op.to_expr())
    return sql


def open_engine(settings: Settings) -> AbstractContextManager[BaseBackend]:
    """The engine of the setting ENGINE, in UTC.

    Its errors inside the block are raised as BadInput (content that cannot be read), OSError (a full disk) or
    NotReady (memory and disk together are not enough).
    """
    return duckdb_engine(settings.memory_limit_gib) if settings.engine == "duckdb" else _spark_engine(settings)


@contextmanager
def duckdb_engine(memory_limit_gib: float = 2.5) -> Iterator[BaseBackend]:
    """DuckDB within a limit of memory, working on disk beyond it; raises what `open_engine` does."""
    with tempfile.TemporaryDirectory() as spill:
        limits = {"memory_limit": f"{memory_limit_gib}GiB", "temp_directory": spill}
        engine = _DuckDB()
        engine.do_connect(preserve_insertion_order=False, **limits)
        try:
            yield engine
        except duckdb.OutOfMemoryException as error:
            raise NotReady(
                f"MEMORY_LIMIT_GIB must be enough together with the space for temporary files, got {memory_limit_gib} "
                f"GiB ({_reason(error)}): raise it, or free space in {Path(spill).parent}"
            ) from error
        except duckdb.Error as error:
            if "No space left" in str(error):
                raise OSError(_reason(error)) from error
            raise BadInput(f"{ENGINE_REFUSAL}: {_reason(error)}") from error
        finally:
            engine.disconnect()


@contextmanager
def _spark_engine(settings: Settings) -> Iterator[BaseBackend]:
    """The one Spark session of this process; spark-defaults.conf decides where it runs and spills."""
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException, PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise BadInput("ENGINE=spark needs pyspark: install the extra spark, or set ENGINE=duckdb") from error
    logging.getLogger("py4j").setLevel(logging.WARNING)
    builder = SparkSession.builder.config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false")
    builder = builder.config("spark.checkpoint.compress", "true")
    builder = builder.config("spark.driver.memory", f"{int(settings.memory_limit_gib * 1024)}m")
    try:
        session = builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise NotReady(
            f"ENGINE=spark needs Java 17, which could not be started ({_reason(error)}): install it or name it in "
            "JAVA_HOME, with Docker set IMAGE_TARGET=spark, or set ENGINE=duckdb"
        ) from error
    if str(session.sparkContext.master).startswith("local"):  # 200 partitions of almost nothing take minutes
        session.conf.set("spark.sql.shuffle.partitions", 2 * session.sparkContext.defaultParallelism)
    with tempfile.TemporaryDirectory() as scratch:
        session.sparkContext.setCheckpointDir(scratch)
        try:
            yield ibis.pyspark.connect(session)
        except (PySparkException, Py4JError) as error:
            raise BadInput(f"{ENGINE_REFUSAL}: {_reason(error)[:500]}") from error


def open_parquet(engine: BaseBackend, files: Sequence[Path]) -> ibis.Table:
    """The rows of Parquet files of one schema, with the number in each file's name and the row in it, from 1."""
    if engine.name == "duckdb":
        paths = [str(file) for file in files]
        numbers = {"filename": True, "file_row_number": True}
        table = engine.read_parquet(paths, table_name=engine.new_name(), hive_partitioning=False, **numbers)
    else:
        frame = engine._session.read.parquet(*map(str, files))
        position = ["_metadata.file_name as filename", "_metadata.row_index as file_row_number"]
        table = _spark_table(engine, frame.selectExpr("*", *position))
    number = table.filename.re_extract(r"(\d+)\.parquet$", 1).cast("int32")
    numbered = table.mutate(**{FILE: number, ROW: table.file_row_number.cast("int64") + 1})
    return numbered.drop("filename", "file_row_number")


def place_of(rows: ibis.Table) -> ibis.Value:
    """A number that orders the rows of several files: by file, then by row."""
    return rows[FILE].cast("int64") * (1 << 40) + rows[ROW]


def read_parquet(engine: BaseBackend, files: Sequence[Path]) -> ibis.Table:
    """The rows of Parquet files of one schema."""
    if engine.name == "duckdb":
        return engine.read_parquet([str(file) for file in files], table_name=engine.new_name(), hive_partitioning=False)
    return _spark_table(engine, engine._session.read.parquet(*map(str, files)))


def _spark_frame(table: ibis.Table) -> Any:
    engine = table.get_backend()
    return engine._session.sql(engine.compile(table))


def _spark_table(engine: BaseBackend, frame: Any) -> ibis.Table:
    name = f"rows_{uuid4().hex}"
    frame.createOrReplaceTempView(name)
    return engine.table(name)


def named(table: ibis.Table) -> ibis.Table:
    """The same table, computed by whoever reads it, as a view: ibis writes a long expression once, not for each use."""
    engine = table.get_backend()
    if engine.name != "duckdb":  # a view that SQL makes is parsed and analysed anew for each use
        return _spark_table(engine, _spark_frame(table))
    name = engine.new_name()
    engine.con.sql(engine.compile(table)).create_view(name)
    # Its own create_view asks for the columns, which plans the view, and all that it is made of, once more.
    return _duckdb_table(engine, name, table.schema())


def materialise(table: ibis.Table) -> ibis.Table:
    """Compute a table once and keep it in the engine."""
    engine = table.get_backend()
    if engine.name == "duckdb":
        made = _empty_table(engine, table.schema())
        engine.con.sql(engine.compile(table)).insert_into(made.op().name)
        return made
    return _spark_table(engine, _spark_frame(table).checkpoint())  # each use of a cached one plans again what made it


def _empty_table(engine: BaseBackend, schema: ibis.Schema) -> ibis.Table:
    """A new table of DuckDB's; ibis' own create_table asks where it is, and for the columns, in statements each."""
    name = engine.new_name()
    columns = sge.Schema(this=sg.to_identifier(name, quoted=True), expressions=schema.to_sqlglot_column_defs("duckdb"))
    temporary = sge.Properties(expressions=[sge.TemporaryProperty()])
    engine.con.execute(sge.Create(kind="TABLE", this=columns, properties=temporary).sql("duckdb"))
    return _duckdb_table(engine, name, schema)


def _duckdb_table(engine: BaseBackend, name: str, schema: ibis.Schema) -> ibis.Table:
    return ops.DatabaseTable(name, schema, engine, ops.Namespace()).to_expr()


@ibis.udf.scalar.builtin(name="reflect")  # type: ignore[untyped-decorator]
def _called(of: str, method: str, text: str, compatible: bool) -> str:  # type: ignore[empty-body]
    """Spark's way to what Java has."""


def composed_by_java(text: ibis.Value) -> ibis.Value:
    """A text in Unicode's normal form C, in Spark, which has no function of it; its ICU does. Null becomes empty."""
    return _called("com.ibm.icu.text.Normalizer", "compose", ibis.coalesce(text, ""), False)


def has_rows(table: ibis.Table) -> bool:
    """Whether there is a row."""
    return count_rows(table.limit(1)) > 0


def count_rows(table: ibis.Table) -> int:
    """The number of rows."""
    return int(table.count().to_pyarrow().as_py())


@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def text_hash(text: str) -> dt.uint64:
    """The engine's own number for a text: by way of ibis, DuckDB would write each as 64 characters first."""


def more_frequent_than(times: int, keys: ibis.Table) -> ibis.Table | None:
    """(key,): the 64-bit numbers of the column `key`, kept in the engine, that occur more than so many times.

    None where no number does.
    """
    engine, keys = keys.get_backend(), keys.filter(keys.key.notnull())
    if engine.name != "duckdb":
        found = materialise(keys.group_by("key").having(ibis._.count() > times).agg())
        return found if has_rows(found) else None
    found = None
    for numbers in _frequent(_sorted(keys), times):  # there may be more than memory holds
        found = found if found is not None else _empty_table(engine, keys.schema())
        engine.insert(found.op().name, pa.table({"key": numbers}))
    return found


def _frequent(batches: Iterator[Int64s], times: int) -> Iterator[Int64s]:
    """The distinct numbers, of sorted ones, that occur more than so many times; some at a time."""
    window, frequent, last = np.empty(0, np.int64), list[Int64s](), None
    for batch in batches:
        window = np.concatenate([window[-times:], batch]) if len(window) else batch
        often = window[times:][window[times:] == window[:-times]]
        often = often[np.diff(often, prepend=often[:1] - 1) != 0]
        if len(often) and often[0] == last:
            often = often[1:]
        if len(often):
            frequent.append(often)
            last = often[-1]
        if len(frequent) == BATCHES_TOGETHER:
            yield np.concatenate(frequent)
            frequent = []
    if frequent:
        yield np.concatenate(frequent)


def value_counts(keys: ibis.Table) -> Iterator[tuple[Int64s, Int64s]]:
    """The distinct 64-bit numbers of the column `key`, sorted, and how often each occurs; some at a time.

    The engine has done its part when this returns: another thread may go on from there.
    """
    computed = materialise(keys)  # by all threads; what is fetched at once is computed by one
    batches = _sorted(computed)
    if computed.get_backend().name == "duckdb":
        computed.get_backend().drop_table(computed.op().name)
    return _counts_of_sorted(batches)


def _counts_of_sorted(batches: Iterator[Int64s]) -> Iterator[tuple[Int64s, Int64s]]:
    carry = np.empty(0, np.int64)  # the last number of a batch may go on in the next
    for batch in batches:
        carry = np.concatenate([carry, batch])
        starts = np.flatnonzero(np.diff(carry, prepend=carry[0] - 1))
        yield carry[starts[:-1]], np.diff(starts)
        carry = carry[starts[-1] :]
    if len(carry):
        yield carry[:1], np.array([len(carry)])


def _sorted(keys: ibis.Table) -> Iterator[Int64s]:
    """Batches of one number or more, sorted through all of them; the engine has done its part when this returns."""
    if keys.get_backend().name == "duckdb" and (count := count_rows(keys)) <= KEYS_IN_MEMORY:
        return _sorted_in_memory(_fetched(keys, count))
    return _sorted_on_disk(keys)


def _fetched(keys: ibis.Table, count: int) -> Int64s:
    """The numbers in memory once: a table of Arrow would be there beside them, and stay with its allocator."""
    numbers, filled = np.empty(count, keys.schema()["key"].to_numpy()), 0
    for batch in keys.to_pyarrow_batches(chunk_size=ROWS_AT_ONCE):
        numbers[filled : filled + len(batch)] = batch["key"]
        filled += len(batch)
    return numbers


def _sorted_in_memory(numbers: Int64s) -> Iterator[Int64s]:
    numbers.sort()  # in place: a copy's fresh memory costs twice the sort
    yield from (numbers[start : start + KEYS_AT_ONCE] for start in range(0, len(numbers), KEYS_AT_ONCE))


def _sorted_on_disk(keys: ibis.Table) -> Iterator[Int64s]:
    scratch = tempfile.TemporaryDirectory()
    write_parts(keys.order_by("key"), Path(scratch.name, "sorted"))
    return _read_parts(scratch)


def _read_parts(scratch: tempfile.TemporaryDirectory[str]) -> Iterator[Int64s]:
    with scratch:
        parts = Path(scratch.name, "sorted").iterdir()
        for part in sorted(parts, key=lambda part: int(part.stem.removeprefix("part-"))):
            for batch in pq.ParquetFile(part).iter_batches(ROWS_AT_ONCE):
                yield batch["key"].to_numpy()


def write_parts(table: ibis.Table, folder: Path) -> int:
    """Write a table into a folder as part-0.parquet, part-1.parquet, ... in no order; returns the number of rows."""
    engine = table.get_backend()
    if engine.name == "duckdb":
        folder.mkdir(parents=True)
        engine.to_parquet(table, folder / "part-0.parquet", **WRITING)
    else:
        engine.to_parquet(table, folder)
        for file in folder.iterdir():
            if file.suffix != ".parquet" or file.name.startswith("."):
                file.unlink()
        for number, file in enumerate(sorted(folder.iterdir())):
            file.rename(folder / f"part-{number}.parquet")
    return sum(pq.read_metadata(file).num_rows for file in folder.iterdir())


def _reason(error: Exception) -> str:
    """The engine's message on one line, without its advice on how to call it."""
    return " ".join(re.split(r"Possible|\n\nLINE 1", str(error), maxsplit=1)[0].split()).removesuffix(".")
