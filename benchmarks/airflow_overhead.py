"""What Airflow adds to a night: the same night by `python -m local night`, and through both DAGs."""

import json
import os
import time
from datetime import timedelta
from typing import Annotated

import typer

from benchmarks.local_airflow import NIGHT, running, scratch_shop
from benchmarks.processes import cost_of

NIGHTLY = ["-m", "local", "night", "--night", str(NIGHT)]


def main(days: Annotated[int, typer.Option(help="days of groceries", min=9)] = 28) -> None:
    """Ingest all days, then run the last night twice, its ingest included: without Airflow and with it.

    Ends with one JSON line; seconds is what the second took longer.
    """
    with scratch_shop(days) as settings:
        cost_of([*NIGHTLY, "--since", str(NIGHT - timedelta(days=days - 1))], dict(os.environ))
        without = cost_of(NIGHTLY, dict(os.environ)).seconds
        with running(settings) as airflow:
            api, began = airflow.api("op"), time.perf_counter()
            api.backfill("ingest_clicks", NIGHT, NIGHT, lambda _: None)
            api.trigger("refresh_recommendations", NIGHT, lambda _: None)
            through = time.perf_counter() - began
    seconds = {"seconds": through - without, "without_airflow": without, "through_airflow": through}
    print(json.dumps({name: round(value, 1) for name, value in seconds.items()}))


if __name__ == "__main__":
    typer.run(main)
