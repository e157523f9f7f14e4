import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local import embedded_postgres
from local.airflow_environment import airflow_environment
from tasks.settings import ROOT, Settings
from tests.installations import skip_disk_flushes

# Before a test imports Airflow, which writes a configuration file into its home.
airflow_home = tempfile.TemporaryDirectory(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = airflow_home.name


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an Airflow whose metadata, and our tables, are in an embedded PostgreSQL of this session."""
    folder = tmp_path_factory.mktemp("airflow")
    skip_disk_flushes(embedded_postgres.start(folder))
    settings = Settings(
        _env_file=None,
        database_url=None,
        state_folder=folder,
        storage_url=str(folder / "storage"),
        click_log_url=str(folder / "clicks"),
        catalogue_url=str(folder / "catalogue.parquet"),
    )
    environment = airflow_environment(settings)
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    yield environment
    embedded_postgres.stop(folder)


@pytest.fixture(scope="session")
def run_dags(airflow: dict[str, str]) -> Callable[..., tuple[list[dict[str, Any]], str]]:
    """Run DAGs one after the other; how each ended, and all that was logged."""

    def run(*runs: dict[str, Any], **environment: str) -> tuple[list[dict[str, Any]], str]:
        ended = subprocess.run(
            [sys.executable, str(ROOT / "tests/dags/run_dags.py"), json.dumps(runs)],
            env={**airflow, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-5000:]
        log, _, outcomes = ended.stdout.rstrip().rpartition("\n")
        return json.loads(outcomes), log + ended.stderr

    return run
