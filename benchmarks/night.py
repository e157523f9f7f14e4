"""Seconds and peak memory of every step of one whole night, each step a process of its own as in Airflow."""

import json
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.processes import Cost, cost_of, own_environment, own_server
from local.complete_journey import write_complete_journey
from tasks.night import Night
from tasks.run import INGEST, REFRESH, REPORT
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

console = Console(stderr=True)


def main(
    night: Annotated[str, typer.Option(help="the night, YYYY-MM-DD, in 2017")] = "2017-06-30",
    days: Annotated[int, typer.Option(help="days of clicks, the night's own included", min=8)] = 90,
) -> None:
    """Run a night on the Complete Journey groceries in a folder and an embedded PostgreSQL of its own.

    Prints a table by step, then one JSON line: seconds and peak GiB by step and in all, and the held-out metrics at 10
    of ECLARE over those of the co-click baseline.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first, last = date.fromisoformat(night) - timedelta(days=days - 1), date.fromisoformat(night)
        write_complete_journey(folder / "clicks", folder / "catalogue.parquet", first, last)
        with own_server(folder) as url:
            environment = own_environment(folder, DATABASE_URL=url, WINDOW_DAYS=days)
            costs = _run_all(first, last, environment)
            metrics = _metrics(folder, night)
    _show(costs)
    total = Cost(sum(cost.seconds for cost in costs.values()), max(cost.peak_gib for cost in costs.values()))
    rounded = {step: {"seconds": round(c.seconds, 1), "peak_gib": round(c.peak_gib, 2)} for step, c in costs.items()}
    print(json.dumps({
        "night": night, "days": days, "seconds": round(total.seconds, 1), "peak_gib": round(total.peak_gib, 2),
        "steps": rounded, "ratio_to_co_click": metrics,
    }))  # fmt: skip


def _run_all(first: date, last: date, environment: dict[str, str]) -> dict[str, Cost]:
    every_day = [first + timedelta(days=age) for age in range((last - first).days + 1)]
    ingested = {step: _mean_day([_cost_of(step, day, environment) for day in every_day]) for step in INGEST}
    return ingested | {step: _cost_of(step, last, environment) for step in (*REFRESH, REPORT)}


def _mean_day(costs: Sequence[Cost]) -> Cost:
    return Cost(sum(cost.seconds for cost in costs) / len(costs), max(cost.peak_gib for cost in costs))


def _cost_of(step: str, day: date, environment: dict[str, str]) -> Cost:
    console.print(f"{step} {day}", style="dim")
    return cost_of(["-m", "tasks", step, "--night", str(day)], environment)


def _metrics(folder: Path, night: str) -> dict[str, float]:
    storage = Storage(str(folder / "storage"))
    settings = Settings()
    with storage.open(storage.read(Night.of(night, settings).artefact("evaluation"))) as evaluation:
        rows = json.loads((evaluation / "metrics.json").read_text())
    value = {(row["system"], f"{row['metric']}@{row['k']}"): row["value"] for row in rows if row["segment"] == "all"}
    cut = [name for system, name in value if system == "eclare" and name.endswith("@10")]
    return {name: round(value["eclare", name] / value["co-click", name], 3) for name in cut}


def _show(costs: dict[str, Cost]) -> None:
    table = Table("step", "seconds", "peak GiB", title="ingest: the mean of a day, the peak of all days")
    for step, cost in costs.items():
        table.add_row(step, f"{cost.seconds:.1f}", f"{cost.peak_gib:.2f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
