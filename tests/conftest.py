"""Settings of an installation that the test owns: its own folders, and a database of its own in a real PostgreSQL."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa
from xdist.scheduler import LoadFileScheduling

from local import embedded_postgres
from tasks.settings import Settings
from tasks.stores.database import migrate
from tests.installations import (
    Installation,
    drop_databases,
    engine_of,
    new_database,
    places_in,
    short_folder,
    skip_disk_flushes,
)

# How long an example takes is up to the machine and whatever else it does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/test")


# Files whose tests share an Airflow: its boot takes half a minute of both cores.
TOGETHER = [
    {f"tests/local/{name}.py" for name in ("test_airflow", "test_up_and_down")},
    {f"tests/local/{name}.py" for name in ("test_browser", "test_topology")},
    {f"tests/dags/{name}.py" for name in ("test_runs", "test_by_hand")},
]


# The first compiles what nights compute with, which takes a core more than a minute; beside it begin long files that
# come to that later or never. Three processes that all begin with nights would compile everything three times.
FIRST = [
    "tests/test_night.py", "tests/tasks/ingest/test_engines.py", "tests/local/test_browser.py",
    "tests/tasks/publish/test_faults.py",
]  # fmt: skip


class FilesTogether(LoadFileScheduling):  # type: ignore[misc]
    """A process gets whole files, and with one all that share something with it."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((min(files) for files in TOGETHER if file in files), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FilesTogether:
    """Instead of --dist loadgroup of pytest-xdist 3.8, which pytest 9.2 does not heed."""
    return FilesTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of slow tests first: of several processes, none is left with the longest when the others have ended.

    Slow are, besides those that say so, what runs on a second server too and properties of many examples.
    """
    files = {file: place for place, file in enumerate(FIRST)}

    def when(item: pytest.Item) -> tuple[bool, int]:
        return item.get_closest_marker("slow") is None, files.get(item.nodeid.partition("::")[0], len(files))

    items.sort(key=when)
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if parameters.get("server") == "given" or getattr(item.obj, "is_hypothesis_test", False):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the garbage collector need not look at it each time."""
    gc.freeze()


@pytest.hookimpl(trylast=True)  # fixtures of the session have ended
def pytest_sessionfinish() -> None:
    drop_databases()


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[str]:
    """One embedded PostgreSQL for the whole run, in memory where that has room."""
    folder = short_folder()
    url = embedded_postgres.start(folder)
    skip_disk_flushes(url)
    yield url
    embedded_postgres.stop(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The URL of moto's server on loopback."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(scope="session")
def migrated() -> Iterator[Callable[[str], str]]:
    """By server, a database whose schema is up to date and empty, to be copied and left as it is."""
    with ExitStack() as stack:

        @cache
        def of(server: str) -> str:
            url = stack.enter_context(new_database(server))
            migrate(Settings(_env_file=None, database_url=url))
            return url

        yield of


@pytest.fixture(scope="module")
def install(
    tmp_path_factory: pytest.TempPathFactory, migrated: Callable[[str], str]
) -> Iterator[Callable[[str], Installation]]:
    """Make an installation on a server in which nothing has run yet, for a module that copies it test by test."""
    with ExitStack() as stack:

        def on(server: str) -> Installation:
            url = stack.enter_context(new_database(server, template=migrated(server)))
            return Installation(tmp_path_factory.mktemp("installation"), url)

        yield on


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    """The embedded server's URL; TEST_DATABASE_URL where a test sets this by indirect parametrisation to "given"."""
    if getattr(request, "param", "embedded") == "embedded":
        url: str = request.getfixturevalue("embedded_server")
        return url
    try:
        engine_of(TEST_DATABASE_URL).connect().close()
    except sa.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at TEST_DATABASE_URL: {error.orig}")
    return TEST_DATABASE_URL


@pytest.fixture
def database_url(server: str, migrated: Callable[[str], str]) -> Iterator[str]:
    """A database on the server, its schema up to date and empty."""
    with new_database(server, template=migrated(server)) as url:
        yield url


@pytest.fixture
def fresh_database_url(server: str) -> Iterator[str]:
    """A database on the server that was never migrated."""
    with new_database(server) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings, in the environment too, of an installation whose database is migrated."""
    return settings_of(tmp_path, database_url, monkeypatch)


@pytest.fixture
def fresh_settings(tmp_path: Path, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings, in the environment too, of one whose database was never migrated."""
    return settings_of(tmp_path, fresh_database_url, monkeypatch)


def settings_of(folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """In the environment for code and processes that read them there; the developer's own are hidden."""
    for name in [name for name in os.environ if name.lower() in Settings.model_fields]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    for name, value in {"database_url": database_url, **places_in(folder)}.items():
        monkeypatch.setenv(name.upper(), value)
    return Settings()
