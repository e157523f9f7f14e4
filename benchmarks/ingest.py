"""A day of many clicks, cleaned, paired and aggregated, beside DuckDB's own scan and group-by of the same file."""

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.made_log import DAY
from benchmarks.processes import Cost, cost_of, own_environment, own_server
from tasks.stores.artefacts import Storage

console = Console(stderr=True)

# What no load can do without: every column is read, events that came twice are found, and the clicks of a session are
# brought together by product.
QUERIES = {
    "scan": "select min(columns(*)) from read_parquet('{file}')",
    "group_by_event": (
        "select count(*) from (select event_id from read_parquet('{file}') group by all having count(*) > 1)"
    ),
    "group_by_session_and_product": (
        "select count(*), sum(clicks), max(first) from (select session_id, product_id, count(*) as clicks, "
        "min(event_time) as first from read_parquet('{file}') group by all)"
    ),
}
DUCKDB = """
import duckdb
config = {{"memory_limit": "{memory}GiB", "temp_directory": "{spill}", "preserve_insertion_order": False}}
engine = duckdb.connect(config=config)
engine.execute("set enable_progress_bar = false")
engine.execute({query!r}).fetchall()
"""


def main(
    events: Annotated[int, typer.Option(help="clicks of the day")] = 20_000_000,
    products: Annotated[int, typer.Option(help="different products")] = 1_000_000,
    memory: Annotated[float, typer.Option(help="MEMORY_LIMIT_GIB, DuckDB's own queries included")] = 2.5,
    spark: Annotated[bool, typer.Option("--spark", help="run the steps on Spark in local mode, too")] = False,
) -> None:
    """Make a day's log as Parquet, run ingest_clicks and aggregate_clicks on it, each a process of its own.

    Ends with one JSON line. ratio_to_duckdb: seconds of both steps over those of DuckDB's scan and two group-bys;
    ratio_to_one_group_by leaves that of events out. fixed_seconds: what both steps take for a day of 1,000 clicks (two
    processes, PostgreSQL); microseconds_per_event are beyond it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with own_server(folder) as url:
            fixed = _steps(folder, _make(folder / "few", 1_000, products), memory, url)
            console.print(f"making {events:,} clicks", style="dim")
            file = _make(folder / "many", events, products)
            queries = {name: _duckdb(query, file, memory, folder) for name, query in QUERIES.items()}
            steps = _steps(folder, file, memory, url)
            counts = Storage(str(folder / "duckdb")).read(f"clicks/date={DAY}").counts
            on_spark = _steps(folder, file, memory, url, engine="spark") if spark else {}
    seconds, rows = _sum(steps), int(counts["rows_read"])
    by_event = queries["group_by_event"].seconds
    print(json.dumps({
        "events": rows, "ratio_to_duckdb": round(seconds / _sum(queries), 2),
        "ratio_to_one_group_by": round(seconds / (_sum(queries) - by_event), 2),
        "peak_gib": round(max(cost.peak_gib for cost in steps.values()), 2),
        "microseconds_per_event": round(1e6 * (seconds - _sum(fixed)) / rows, 3),
        "fixed_seconds": round(_sum(fixed), 1),
        "seconds": _rounded(steps), "duckdb_seconds": _rounded(queries), "spark_seconds": _rounded(on_spark),
        "counts": counts,
    }))  # fmt: skip


def _make(folder: Path, events: int, products: int) -> Path:
    """In a process of its own: a child's peak memory begins with that of its parent."""
    cost_of(["-m", "benchmarks.made_log", str(folder), str(events), str(products)], dict(os.environ))
    return folder / f"date={DAY}" / "log.parquet"


def _duckdb(query: str, file: Path, memory: float, folder: Path) -> Cost:
    console.print(query, style="dim")
    program = DUCKDB.format(memory=memory, spill=folder / "spill", query=query.format(file=file))
    return cost_of(["-c", program], {})


def _steps(folder: Path, file: Path, memory: float, url: str, engine: str = "duckdb") -> dict[str, Cost]:
    log = file.parents[1]
    environment = own_environment(
        folder, DATABASE_URL=url, MEMORY_LIMIT_GIB=memory, ENGINE=engine, CLICK_LOG_URL=log, STORAGE_URL=folder / engine
    )
    return {
        step: cost_of(["-m", "tasks", step, "--night", str(DAY)], environment)
        for step in ("ingest_clicks", "aggregate_clicks")
    }


def _sum(costs: dict[str, Cost]) -> float:
    return sum(cost.seconds for cost in costs.values())


def _rounded(costs: dict[str, Cost]) -> dict[str, float]:
    return {name: round(cost.seconds, 1) for name, cost in costs.items()}


if __name__ == "__main__":
    typer.run(main)
