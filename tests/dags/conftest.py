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
def run_dags(
    airflow: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., tuple[list[dict[str, Any]], str]]]:
    """Run DAGs one after the other; how each ended, and all that was logged. One process loads Airflow for all."""
    log = tmp_path_factory.mktemp("run_dags") / "log"
    read, write = os.pipe()
    command = [sys.executable, "-u", str(ROOT / "tests/dags/run_dags.py"), str(write)]
    with log.open("w") as said, os.fdopen(read) as answers:
        process = subprocess.Popen(
            command, env=airflow, pass_fds=[write], stdin=subprocess.PIPE, stdout=said, stderr=said, text=True
        )
        os.close(write)  # the process has the only one: once it ends, there is no more to read

        def run(*runs: dict[str, Any], **environment: str) -> tuple[list[dict[str, Any]], str]:
            logged = log.stat().st_size
            print(json.dumps({"runs": runs, "environment": environment}), file=process.stdin, flush=True)
            answer, since = answers.readline(), log.read_bytes()[logged:].decode()
            assert answer, since[-5000:]
            return json.loads(answer), since

        with process:
            yield run
