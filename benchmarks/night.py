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

from benchmarks.made_shop import write_made_shop
from benchmarks.next_days import ingest, settings_of
from benchmarks.processes import Cost, cost_of, enter, own_environment, own_server
from eclare.evaluation.list_segments import PageFigures
from local.complete_journey import write_complete_journey
from tasks.evaluation import LARGEST_K
from tasks.night import Night
from tasks.run import INGEST, REFRESH, REPORT, run
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

console = Console(stderr=True)
TIMED_DAYS = 5  # of ingest
NIGHTLY = (*REFRESH, REPORT)
USUAL_HELD_OUT_DAYS = Settings.model_fields["held_out_days"].default


def main(
    *,
    night: Annotated[str, typer.Option(help="the night, YYYY-MM-DD; of the groceries in 2017")] = "2017-06-30",
    days: Annotated[int, typer.Option(help="days of clicks, the night's own included", min=8)] = 90,
    made: Annotated[bool, typer.Option("--made", help="a made shop (benchmarks.made_shop), not the groceries")] = False,
    products: Annotated[int, typer.Option(help="of the made shop", min=1000)] = 10_000,
    events_a_day: Annotated[int, typer.Option(help="clicks of the made shop", min=1000)] = 200_000,
    epochs: Annotated[int | None, typer.Option(help="of training; default: a night's", min=1)] = None,
    until: Annotated[str, typer.Option(help="last step to run, of those after the ingest")] = REPORT,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a further setting of the night; repeatable")
    ] = None,
) -> None:
    """Run a night on the Complete Journey groceries or a made shop, in a folder and a PostgreSQL of its own.

    Prints a table by step, then one JSON line: what was run on; seconds and peak GiB by step and in all; the held-out
    metrics at 10 of every system and ours over each of them, [value, low, high] of the 95% interval; and what the
    published lists look like, all and by their query's history. Ingest is timed on the last days alone, the others come
    in processes side by side. A log of fewer than 28 days has a quarter of them held out.
    """
    if until not in NIGHTLY:
        raise typer.BadParameter(f"must be {', '.join(NIGHTLY)}, got {until}", param_hint="--until")
    if epochs and any(pair.lower().startswith("eclare_config=") for pair in set_ or []):
        raise typer.BadParameter("name them in the file of ECLARE_CONFIG, or leave that out", param_hint="--epochs")
    given = {"HELD_OUT_DAYS": str(min(USUAL_HELD_OUT_DAYS, days // 4))} | settings_of(set_ or [])
    with tempfile.TemporaryDirectory() as scratch:
        folder, last = Path(scratch), date.fromisoformat(night)
        every_day = [last - timedelta(days=age) for age in reversed(range(days))]
        if made:
            write_made_shop(folder, every_day, products, events_a_day)
        else:
            write_complete_journey(folder / "clicks", folder / "catalogue.parquet", every_day[0], last)
        config = _with_epochs(epochs, folder) if epochs else {}
        with own_server(folder) as url:
            environment = own_environment(folder, DATABASE_URL=url, WINDOW_DAYS=days, **given | config)
            enter(environment)
            run("ingest_catalogue", str(every_day[0]))
            ingest([str(day) for day in every_day[:-TIMED_DAYS]])
            costs = _timed(every_day[-TIMED_DAYS:], NIGHTLY[: NIGHTLY.index(until) + 1], environment)
            figures = _metrics(night) if "evaluate_model" in costs else {}
            figures |= _lists(night) if "recommend_products" in costs else {}
    _show(costs)
    total = Cost(sum(cost.seconds for cost in costs.values()), max(cost.peak_gib for cost in costs.values()))
    rounded = {step: {"seconds": round(c.seconds, 1), "peak_gib": round(c.peak_gib, 2)} for step, c in costs.items()}
    costs_of_all = {"seconds": round(total.seconds, 1), "peak_gib": round(total.peak_gib, 2), "steps": rounded}
    run_on: dict[str, object] = {"night": night, "days": days, "epochs": epochs, "settings": given}
    run_on |= {"made": {"products": products, "events_a_day": events_a_day}} if made else {}
    print(json.dumps(run_on | costs_of_all | figures))


def _with_epochs(epochs: int, folder: Path) -> dict[str, str]:
    """The setting of a night that trains so long."""
    file = folder / "config.json"
    file.write_text(json.dumps({"epochs": epochs}))
    return {"ECLARE_CONFIG": str(file)}


def _timed(days: Sequence[date], nightly: Sequence[str], environment: dict[str, str]) -> dict[str, Cost]:
    ingested = {step: _mean_day([_cost_of(step, day, environment) for day in days]) for step in INGEST}
    return ingested | {step: _cost_of(step, days[-1], environment) for step in nightly}


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
        if row["k"] == LARGEST_K and (row["segment"] == "all" or row["metric"] == "lift"):
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
