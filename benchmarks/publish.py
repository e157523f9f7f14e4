"""A night published, beside a bare COPY of the same rows into the same tables with their indexes."""

import json
import os
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated

import psycopg2
import typer
from rich.console import Console

from benchmarks.made_night import SCORES, make_night
from benchmarks.processes import Cost, cost_of, enter, own_environment, own_server
from tasks.settings import Settings

console = Console(stderr=True)

FIRST = date(2017, 6, 29)
TABLES = ("recommendation", "recommended_product", "recommendation_reason")


def main(
    rows: Annotated[int, typer.Option(help="recommendations of the night", min=20)] = 5_000_000,
    runs: Annotated[
        int, typer.Option(help="nights published after the first, each beside a COPY of its rows", min=1)
    ] = 3,
    explained: Annotated[int, typer.Option(help="EXPLAINED_RANKS: first ranks of every list with reasons", min=0)] = 5,
) -> None:
    """Publish a night and, over it, others of the same size, each a process of its own, as in Airflow.

    Ends with one JSON line. ratio_to_copy: seconds of a publish (a process; reading the artefact, COPY, indexes, gate
    against the live version, switch) over those of a bare COPY of its rows, exported before, into tables like its three
    with their indexes; medians of the runs. ratio_to_copy_of_recommendations leaves the COPY of reasons and titles out.
    peak_gib: the most memory that a publish held.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        with own_server(folder) as url:
            environment = own_environment(folder, DATABASE_URL=url, EXPLAINED_RANKS=str(explained))
            enter(environment)
            costs, copies = _measure(rows // len(SCORES), runs, url)
    publishes = [cost.seconds for cost in costs]
    seconds = {table: [copy[table] for copy in copies] for table in TABLES}
    whole = [sum(copy.values()) for copy in copies]
    print(json.dumps({
        "rows": rows // len(SCORES) * len(SCORES), "ratio_to_copy": round(median(publishes) / median(whole), 2),
        "ratio_to_copy_of_recommendations": round(median(publishes) / median(seconds[TABLES[0]]), 2),
        "publish_seconds": _rounded(publishes), "copy_seconds": {table: _rounded(seconds[table]) for table in TABLES},
        "peak_gib": round(max(cost.peak_gib for cost in costs), 2),
    }))  # fmt: skip


def _rounded(seconds: list[float]) -> list[float]:
    return [round(each, 1) for each in seconds]


def _measure(products: int, runs: int, url: str) -> tuple[list[Cost], list[dict[str, float]]]:
    publishes, copies = [], []
    for run in range(runs + 1):
        console.print(f"night {run + 1} of {runs + 1}: {products * len(SCORES):,} rows", style="dim")
        night = make_night(FIRST + timedelta(days=run), products, Settings())
        publish = cost_of(["-m", "tasks", "publish_recommendations", "--night", str(night)], dict(os.environ))
        if run:
            publishes.append(publish)
            copies.append({table: _bare_copy(table, url) for table in TABLES})
    return publishes, copies


def _bare_copy(table: str, url: str) -> float:
    """Seconds of a COPY of the newest version's rows from a file, by the client, as publishing sends them."""
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor, tempfile.TemporaryFile() as file:
        cursor.execute("select %s || '_' || max(version_id) from recommendation_version", (table,))
        (newest,) = cursor.fetchone()
        cursor.copy_expert(f"copy {newest} to stdout", file)
        cursor.execute(f"create table copied (like {newest} including constraints including indexes)")
        connection.commit()
        file.seek(0)
        start = time.perf_counter()
        cursor.copy_expert("copy copied from stdin", file)
        connection.commit()
        seconds = time.perf_counter() - start
        cursor.execute("drop table copied")
    connection.close()
    return seconds


if __name__ == "__main__":
    typer.run(main)
