"""What a process costs: each step in one of its own, as in Airflow."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import typer

from local import embedded_postgres
from tasks.settings import ROOT, Settings

# Linux counts what the parent held at the start towards a process's peak: a parent in between holds 10 MiB.
LAUNCHER = """
import os, sys, time
start = time.perf_counter()
process = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[2:]], os.environ)
_, status, usage = os.wait4(process, 0)
os.write(int(sys.argv[1]), f"{time.perf_counter() - start} {usage.ru_maxrss}".encode())
sys.exit(status != 0)
"""


class Cost(NamedTuple):
    """What one process cost: wall-clock seconds and the most memory it held, in GiB."""

    seconds: float
    peak_gib: float


def cost_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run Python with these arguments from the checkout; ends the benchmark where it fails.

    The peak is the largest of the process's own and of those of the processes that it waited for, not of their sum.
    """
    read, write = os.pipe()
    with os.fdopen(read) as told:
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(write), *arguments]
        ended = subprocess.run(launcher, env={**environment, "PYTHONPATH": str(ROOT)}, pass_fds=[write], check=False)
        os.close(write)
        if ended.returncode:
            raise typer.Exit(1)
        seconds, peak_kib = told.read().split()
    return Cost(float(seconds), float(peak_kib) / 2**20)


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
