"""What computes over clicks: DuckDB on this machine, Spark beyond it. Both run the same ibis expressions."""

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import ibis
import pyarrow.parquet as pq
from ibis.backends import BaseBackend

from tasks.errors import BadInput, NotReady
from tasks.settings import Settings

ROWS_AT_ONCE = 1 << 20
WRITING = {"compression": "zstd", "compression_level": 1, "dictionary_size_limit": 1_000}  # the fastest for unique ids
ENGINE_REFUSAL = "the engine must be able to read its input, got"
FILE, ROW = "file_number", "row_number"


@contextmanager
def open_engine(settings: Settings) -> Iterator[BaseBackend]:
    """The engine of the setting ENGINE: within MEMORY_LIMIT_GIB, working on disk beyond it, in UTC.

    What the engine refuses inside the block is raised as BadInput (content that cannot be read), OSError (a full disk)
    or NotReady (memory and disk together are not enough).
    """
    with tempfile.TemporaryDirectory() as spill:
        engine = _duckdb(settings, spill) if settings.engine == "duckdb" else _spark(settings)
        try:
            yield engine
        except duckdb.OutOfMemoryException as error:
            raise NotReady(
                f"MEMORY_LIMIT_GIB must be enough together with the space for temporary files, got "
                f"{settings.memory_limit_gib} GiB ({_reason(error)}): raise it, or free space in {Path(spill).parent}"
            ) from error
        except duckdb.Error as error:
            if "No space left" in str(error):
                raise OSError(_reason(error)) from error
            raise BadInput(f"{ENGINE_REFUSAL}: {_reason(error)}") from error
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("pyspark", "py4j"):
                raise BadInput(f"{ENGINE_REFUSAL}: {_reason(error)[:500]}") from error
            raise
        finally:
            if settings.engine == "duckdb":
                engine.disconnect()


def open_parquet(engine: BaseBackend, files: Sequence[Path]) -> ibis.Table:
    """The rows of Parquet files of one schema, with the number in each file's name and the row in it, from 1."""
    if engine.name == "duckdb":
        paths = [str(file) for file in files]
        table = engine.read_parquet(paths, filename=True, file_row_number=True, hive_partitioning=False)
    else:
        frame = engine._session.read.parquet(*map(str, files))
        place = ["_metadata.file_name as filename", "_metadata.row_index as file_row_number"]
        table = _spark_table(engine, frame.selectExpr("*", *place))
    number = table.filename.re_extract(r"(\d+)\.parquet$", 1).cast("int32")
    numbered = table.mutate(**{FILE: number, ROW: table.file_row_number.cast("int64") + 1})
    return numbered.drop("filename", "file_row_number")


def read_parquet(engine: BaseBackend, files: Sequence[Path]) -> ibis.Table:
    """The rows of Parquet files of one schema."""
    if engine.name == "duckdb":
        return engine.read_parquet([str(file) for file in files], hive_partitioning=False)
    return _spark_table(engine, engine._session.read.parquet(*map(str, files)))


def _spark_table(engine: BaseBackend, frame: Any) -> ibis.Table:
    name = f"rows_{uuid4().hex}"
    frame.createOrReplaceTempView(name)
    return engine.table(name)


def materialise(table: ibis.Table) -> ibis.Table:
    """Compute a table once and keep it in the engine."""
    engine = table.get_backend()
    if engine.name == "duckdb":
        return engine.create_table(f"rows_{uuid4().hex}", table, temp=True)
    return table.cache()


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


def write_parquet(table: ibis.Table, file: Path) -> int:
    """Write a table to one file batch by batch, in its own order; returns the number of rows."""
    rows = 0
    with pq.ParquetWriter(file, table.schema().to_pyarrow()) as writer:
        for batch in table.to_pyarrow_batches(chunk_size=ROWS_AT_ONCE):
            writer.write_batch(batch)
            rows += len(batch)
    return rows


def _duckdb(settings: Settings, spill: str) -> BaseBackend:
    return ibis.duckdb.connect(
        memory_limit=f"{settings.memory_limit_gib}GiB", temp_directory=spill, preserve_insertion_order=False
    )


def _spark(settings: Settings) -> BaseBackend:
    """The one Spark session of this process; where it runs and spills is for spark-defaults.conf to say."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise BadInput("ENGINE=spark needs pyspark: install the extra spark, or set ENGINE=duckdb") from error
    logging.getLogger("py4j").setLevel(logging.WARNING)
    builder = SparkSession.builder.config("spark.sql.session.timeZone", "UTC")
    builder = builder.config("spark.driver.memory", f"{int(settings.memory_limit_gib * 1024)}m")
    builder = builder.config("spark.ui.enabled", "false")
    session = builder.getOrCreate()
    if session.sparkContext.master.startswith("local"):  # 200 partitions of almost nothing take minutes
        session.conf.set("spark.sql.shuffle.partitions", 2 * session.sparkContext.defaultParallelism)
    return ibis.pyspark.connect(session)


def _reason(error: Exception) -> str:
    """The engine's own words on one line, without its advice on how to call it."""
    return " ".join(re.split(r"Possible|\n\nLINE 1", str(error), maxsplit=1)[0].split()).removesuffix(".")
