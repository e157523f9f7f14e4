"""Days of ingest backfilled through Airflow's scheduler."""

import json
import time
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.local_airflow import NIGHT, running, scratch_shop

console = Console(stderr=True)


def main(days: Annotated[int, typer.Option(help="days of groceries", min=1)] = 30) -> None:
    """Backfill ingest_clicks over the days, three tasks a day, one day at a time as the DAG demands.

    Ends with one JSON line: seconds from the request until the last day is done, tasks a minute, and the task instances
    that failed or are stuck.
    """
    with scratch_shop(days) as settings, running(settings) as airflow:
        api, began = airflow.api("op"), time.perf_counter()
        api.backfill("ingest_clicks", NIGHT - timedelta(days=days - 1), NIGHT, lambda _: None)
        seconds = time.perf_counter() - began
        found = list(api.task_instances("dags/ingest_clicks/dagRuns/~", {}))
    states = [task["state"] for task in found]
    print(json.dumps({
        "days": days, "seconds": round(seconds, 1), "tasks": len(states),
        "tasks_per_minute": round(60 * len(states) / seconds, 1),
        "failed": states.count("failed"), "stuck": sum(state not in ("success", "failed") for state in states),
    }))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
