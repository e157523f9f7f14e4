"""Settings of an installation that the test owns: its own folders, and a schema of its own in a real PostgreSQL."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from local import embedded_postgres
from tasks.settings import Settings
from tasks.stores.database import migrate

TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/test")


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[str]:
    """One embedded PostgreSQL for the whole run; its folder has a short name, for its socket's sake."""
    folder = Path(tempfile.mkdtemp(prefix="eclare-test-"))
    yield embedded_postgres.start(folder)
    embedded_postgres.stop(folder)
    shutil.rmtree(folder)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    """The embedded server's URL; TEST_DATABASE_URL where a test sets this by indirect parametrisation to "given"."""
    if getattr(request, "param", "embedded") == "embedded":
        url: str = request.getfixturevalue("embedded_server")
        return url
    try:
        _engine(TEST_DATABASE_URL).connect().close()
    except sa.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at TEST_DATABASE_URL: {error.orig}")
    return TEST_DATABASE_URL


@pytest.fixture
def database_url(server: str) -> Iterator[str]:
    """A fresh, empty schema on the server, dropped afterwards."""
    schema = f"test_{uuid4().hex[:12]}"
    with _engine(server).begin() as connection:
        connection.execute(sa.text(f"create schema {schema}"))
    url = sa.make_url(server).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with _engine(server).begin() as connection:
        connection.execute(sa.text("set local lock_timeout = '20s'"))
        connection.execute(sa.text(f"drop schema {schema} cascade"))


@pytest.fixture
def settings(fresh_settings: Settings) -> Settings:
    """Settings, in the environment too, of an installation whose database is migrated."""
    migrate(fresh_settings)
    return fresh_settings


@pytest.fixture
def fresh_settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings, in the environment too, of one whose database was never migrated; the developer's own are hidden."""
    for name in [name for name in os.environ if name.lower() in Settings.model_fields]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name in ("STATE_FOLDER", "STORAGE_URL", "CLICK_LOG_URL"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("CATALOGUE_URL", str(tmp_path / "catalogue.parquet"))
    return Settings()


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"), poolclass=sa.NullPool)
