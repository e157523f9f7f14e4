"""An Airflow of its own for a benchmark, with groceries to work on, in a scratch folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from benchmarks.processes import enter, own_environment
from local import airflow
from local.airflow import LocalAirflow
from local.complete_journey import write_complete_journey
from tasks.settings import Settings

NIGHT = date(2017, 6, 30)


@contextmanager
def scratch_shop(days: int) -> Iterator[Settings]:
    """Settings, in the environment too, of a shop whose logs of so many days are delivered and not ingested."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        environment = own_environment(folder)
        enter(environment)
        settings = Settings()
        if days:
            first = NIGHT - timedelta(days=days - 1)
            write_complete_journey(Path(settings.click_log_url), Path(settings.catalogue_url), first, NIGHT)
        yield settings


@contextmanager
def running(settings: Settings) -> Iterator[LocalAirflow]:
    """Airflow as `make up` starts it, stopped afterwards with its PostgreSQL."""
    try:
        yield airflow.start(settings, port=airflow.free_port(), say=lambda _: None)
    finally:
        airflow.stop(settings, say=lambda _: None)
