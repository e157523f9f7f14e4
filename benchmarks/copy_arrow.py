"""Rows of Arrow into PostgreSQL: our COPY of CSV, and ADBC's binary COPY (adbc_ingest), in the same transaction."""

import json
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
import typer
from rich.console import Console

from benchmarks.processes import own_server
from tasks.settings import Settings
from tasks.stores.database import ROWS_PER_COPY, copy_rows, transaction

console = Console(stderr=True)

RANKS = 20
SOURCES = np.array(["co-click", "model", "cold", "popular"])
CREATE = """create table copied (
    product_id text, rank smallint, related text not null, score real not null, source text not null,
    primary key (product_id, rank)
)"""


def main(
    rows: Annotated[int, typer.Option(help="rows of a run", min=RANKS)] = 1_000_000,
    runs: Annotated[int, typer.Option(help="runs of each, in turn", min=1)] = 3,
) -> None:
    """Fill a table with a primary key, empty before each run, from one Arrow table, by turns with each of the two.

    Ends with one JSON line: seconds until the transaction was committed, and ratio_to_copy_rows of the medians. Without
    the packages adbc-driver-manager and adbc-driver-postgresql ours is measured alone.
    """
    table = _table(rows)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        with own_server(folder) as url:
            settings = Settings(_env_file=None, database_url=url)
            ways: dict[str, Callable[[], None]] = {"copy_rows": lambda: _copy_rows(table, settings)}
            if adbc := _adbc():
                ways["adbc_ingest"] = lambda: _adbc_ingest(adbc, table, url)
            else:
                console.print("adbc-driver-manager and adbc-driver-postgresql are not installed: ours alone")
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(runs):
                for name, fill in ways.items():
                    seconds[name].append(_seconds(fill, rows, settings))
                    console.print(f"{name} {seconds[name][-1]:.2f} s", style="dim")
    ours = median(seconds["copy_rows"])
    print(json.dumps({
        "rows": rows, "seconds": {name: [round(each, 2) for each in times] for name, times in seconds.items()},
        "ratio_to_copy_rows": {name: round(median(times) / ours, 2) for name, times in seconds.items()},
    }))  # fmt: skip


def _table(rows: int) -> pa.Table:
    random = np.random.default_rng(0)
    ids = [f"product {number:09}" for number in range(rows // RANKS)]
    related = pa.array(ids).take(pa.array(random.integers(0, len(ids), len(ids) * RANKS)))
    return pa.table({
        "product_id": np.repeat(np.array(ids), RANKS),
        "rank": np.tile(np.arange(1, RANKS + 1, dtype=np.int16), len(ids)),
        "related": related, "score": random.random(len(related), dtype=np.float32),
        "source": SOURCES[random.integers(0, len(SOURCES), len(related))],
    })  # fmt: skip


def _adbc() -> Any:
    return import_module("adbc_driver_postgresql.dbapi") if find_spec("adbc_driver_postgresql") else None


def _copy_rows(table: pa.Table, settings: Settings) -> None:
    with transaction(settings) as connection:
        copy_rows(connection, "copied", table.to_reader(ROWS_PER_COPY))


def _adbc_ingest(adbc: Any, table: pa.Table, url: str) -> None:
    with adbc.connect(url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("copied", table, mode="append")
        connection.commit()


def _seconds(fill: Callable[[], None], rows: int, settings: Settings) -> float:
    with transaction(settings) as connection:
        connection.execute(sa.text("drop table if exists copied"))
        connection.execute(sa.text(CREATE))
    start = time.perf_counter()
    fill()
    seconds = time.perf_counter() - start
    with transaction(settings) as connection:
        assert connection.execute(sa.text("select count(*) from copied")).scalar_one() == rows // RANKS * RANKS
    return seconds


if __name__ == "__main__":
    typer.run(main)
