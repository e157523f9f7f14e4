"""Seconds and peak memory of every step of one whole night, each step a process of its own as in Airflow."""

import json
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.next_days import ingest
from benchmarks.processes import Cost, cost_of, enter, own_environment, own_server
from eclare.evaluation.list_segments import PageFigures
from local.complete_journey import write_complete_journey
from tasks.night import Night
from tasks.run import INGEST, REFRESH, REPORT, run
from tasks.settings import Settings
from tasks.steps.evaluate_model import LAST_CUT
from tasks.stores.artefacts import Storage

console = Console(stderr=True)
TIMED_DAYS = 5  # of ingest


def main(
    night: Annotated[str, typer.Option(help="the night, YYYY-MM-DD, in 2017")] = "2017-06-30",
    days: Annotated[int, typer.Option(help="days of clicks, the night's own included", min=8)] = 90,
) -> None:
    """Run a night on the Complete Journey groceries in a folder and an embedded PostgreSQL of its own.

    Prints a table by step, then one JSON line: seconds and peak GiB by step and in all; the held-out metrics at 10 of
    every system and ours over each of them, [value, low, high] of the 95% interval; and what the published lists look
    like, all and by their query's history. Ingest is timed on the last days alone, the others come in processes side by
    side.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first, last = date.fromisoformat(night) - timedelta(days=days - 1), date.fromisoformat(night)
        write_complete_journey(folder / "clicks", folder / "catalogue.parquet", first, last)
        with own_server(folder) as url:
            environment = own_environment(folder, DATABASE_URL=url, WINDOW_DAYS=days)
            enter(environment)
            every_day = [first + timedelta(days=age) for age in range(days)]
            run("ingest_catalogue", str(first))
            ingest([str(day) for day in every_day[:-TIMED_DAYS]])
            costs = _timed(every_day[-TIMED_DAYS:], environment)
            figures = _metrics(night) | _lists(night)
    _show(costs)
    total = Cost(sum(cost.seconds for cost in costs.values()), max(cost.peak_gib for cost in costs.values()))
    rounded = {step: {"seconds": round(c.seconds, 1), "peak_gib": round(c.peak_gib, 2)} for step, c in costs.items()}
    costs_of_all = {"seconds": round(total.seconds, 1), "peak_gib": round(total.peak_gib, 2), "steps": rounded}
    print(json.dumps({"night": night, "days": days} | costs_of_all | figures))


def _timed(days: Sequence[date], environment: dict[str, str]) -> dict[str, Cost]:
    ingested = {step: _mean_day([_cost_of(step, day, environment) for day in days]) for step in INGEST}
    return ingested | {step: _cost_of(step, days[-1], environment) for step in (*REFRESH, REPORT)}


def _mean_day(costs: Sequence[Cost]) -> Cost:
    return Cost(sum(cost.seconds for cost in costs) / len(costs), max(cost.peak_gib for cost in costs))


def _cost_of(step: str, day: date, environment: dict[str, str]) -> Cost:
    console.print(f"{step} {day}", style="dim")
    return cost_of(["-m", "tasks", step, "--night", str(day)], environment)


def _metrics(night: str) -> dict[str, object]:
    """By segment, system and metric, in percent but for ratios: those over all queries, lift by their history too."""
    with _opened(night, "evaluation") as evaluation:
        rows = json.loads((evaluation / "metrics.json").read_text())
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in rows:
        if row["k"] == LAST_CUT and (row["segment"] == "all" or row["metric"] == "lift"):
            scale, digits = (1, 3) if "/" in row["system"] else (100, 2)
            values = [row[name] and round(scale * row[name], digits) for name in ("value", "low", "high")]
            found.setdefault(row["segment"], {}).setdefault(row["system"], {})[row["metric"]] = values
    return {"metrics_at_10": found}


def _lists(night: str) -> dict[str, object]:
    with _opened(night, "recommendations") as recommendations:
        figures = PageFigures.load(recommendations)
    by_history = {each.segment: each._asdict() for each in figures.segments if each.by == "history"}
    return {"lists": figures.all._asdict() | {"by history": by_history}}


def _opened(night: str, artefact: str) -> AbstractContextManager[Path]:
    settings = Settings(_env_file=None)
    storage = Storage(settings.storage_url)
    return storage.open(storage.read(Night.of(night, settings).artefact(artefact)))


def _show(costs: dict[str, Cost]) -> None:
    table = Table("step", "seconds", "peak GiB", title=f"ingest: the mean and the peak of {TIMED_DAYS} days")
    for step, cost in costs.items():
        table.add_row(step, f"{cost.seconds:.1f}", f"{cost.peak_gib:.2f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
