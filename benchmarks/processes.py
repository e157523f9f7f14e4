"""What a process costs: each step in one of its own, as in Airflow."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import typer

from local import embedded_postgres
from tasks.settings import ROOT, Settings


class Cost(NamedTuple):
    """What one process cost: wall-clock seconds and the most memory it held, in GiB."""

    seconds: float
    peak_gib: float


def cost_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run Python with these arguments from the checkout; ends the benchmark where it fails."""
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    process = os.posix_spawn(sys.executable, command, {**environment, "PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process, 0)
    if status:
        raise typer.Exit(1)
    return Cost(time.perf_counter() - start, usage.ru_maxrss / 2**20)


@contextmanager
def own_server(folder: Path) -> Iterator[str]:
    """The URL of an embedded PostgreSQL in a folder, migrated; stopped on leaving."""
    settings = Settings(_env_file=None, database_url=None, state_folder=folder)
    try:
        yield str(embedded_postgres.with_database(settings).database_url)
    finally:
        embedded_postgres.stop(folder)


def own_environment(folder: Path, **settings: object) -> dict[str, str]:
    """The environment of an installation in a folder of its own, with these settings and none of ours."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    places = {"STATE_FOLDER": folder, "STORAGE_URL": folder / "storage", "CLICK_LOG_URL": folder / "clicks"}
    places["CATALOGUE_URL"] = folder / "catalogue.parquet"
    return kept | {name: str(value) for name, value in {**places, **settings}.items()}


def enter(environment: Mapping[str, str]) -> None:
    """Make it the environment of this process, so that no setting of ours takes part."""
    os.environ.clear()
    os.environ.update(environment)
