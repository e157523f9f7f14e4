"""`python -m local`, as typed on a machine without a server."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import embedded_postgres
from tasks.settings import ROOT, Settings
from tests.installations import short_folder
from tests.small_shop import NIGHT, deliver_catalogue

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def state_folder() -> Iterator[Path]:
    """Where the first command makes a server, for all of them."""
    folder = short_folder()
    yield folder
    embedded_postgres.stop(folder)
    shutil.rmtree(folder)


@pytest.fixture
def without_server(settings: Settings, state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings without DATABASE_URL."""
    monkeypatch.setenv("STATE_FOLDER", str(state_folder))
    monkeypatch.setenv("DATABASE_URL", "")
    return settings.model_copy(update={"database_url": None, "state_folder": state_folder})


def local(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_steps_run_on_an_embedded_server_that_is_started_and_migrated_for_them(without_server: Settings) -> None:
    deliver_catalogue(Path(without_server.catalogue_url))
    ended = local("run", "ingest_catalogue", "--night", str(NIGHT))
    assert ended.returncode == 0, ended.stderr
    shown = local("psql", "-Atc", "select day from catalogue_load")
    assert (shown.returncode, shown.stdout) == (0, f"{NIGHT}\n"), shown.stderr


def test_a_night_takes_the_options_of_the_tasks_and_ends_as_they_end(without_server: Settings) -> None:
    ended = local("night", "--night", str(NIGHT))
    assert ended.returncode == 1
    assert f"ingest_catalogue of night {NIGHT} begins" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("NotReady: there is no catalogue")


def test_psql_looks_at_a_server_that_was_given_and_does_not_migrate_it(fresh_settings: Settings) -> None:
    shown = local("psql", "-Atc", "select count(*) from pg_class where relnamespace = current_schema()::regnamespace")
    assert (shown.returncode, shown.stdout) == (0, "0\n"), shown.stderr
