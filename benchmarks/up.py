"""How long `make up` takes until Airflow is healthy with its DAGs loaded, and what memory it holds at rest."""

import json
import time
from typing import Annotated

import psutil
import typer

from benchmarks.local_airflow import running, scratch_shop
from local.airflow import processes
from tasks.settings import Settings


def main(rest: Annotated[int, typer.Option(help="seconds at rest before memory is looked at", min=0)] = 30) -> None:
    """Start the single-machine set-up in a new folder, wait until it is healthy, let it rest, and stop it.

    Ends with one JSON line. rest_gib: memory of all its processes and of PostgreSQL, shared pages counted once (PSS).
    """
    with scratch_shop(days=0) as settings:
        began = time.perf_counter()
        with running(settings) as airflow:
            seconds = time.perf_counter() - began
            time.sleep(rest)
            found = [*processes(airflow.home), *_postgres(settings)]
            rest_gib = sum(process.memory_full_info().pss for process in found) / 2**30
    print(json.dumps({"seconds": round(seconds, 1), "rest_gib": round(rest_gib, 2), "processes": len(found)}))


def _postgres(settings: Settings) -> list[psutil.Process]:
    """The server of this set-up and its backends."""
    server = int((settings.state_folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return [psutil.Process(server), *psutil.Process(server).children(recursive=True)]


if __name__ == "__main__":
    typer.run(main)
