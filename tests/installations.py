"""Installations of tests: folders and a database of their own, and copies of one that was made ready once."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import sqlalchemy as sa

from tasks.settings import Settings

SCHEMA = "of_a_test"  # not public, so that nothing relies on that name
MEMORY, ROOM = Path("/dev/shm"), 8 << 30  # noqa: S108 (names are those of mkdtemp)
_to_drop: list[tuple[str, str]] = []  # where to ask for it, and the database
PLACES = {name: name for name in ("state_folder", "storage_url", "click_log_url")} | {
    "catalogue_url": "catalogue.parquet"
}


class Installation(NamedTuple):
    """A folder with everything but the database, and the database's URL. To copy it, nobody may be connected there."""

    folder: Path
    database_url: str

    @property
    def settings(self) -> Settings:
        """Settings with these places; all others are the environment's or the defaults."""
        return Settings(_env_file=None, database_url=self.database_url, **places_in(self.folder))

    @contextmanager
    def copied_to(self, folder: Path) -> Iterator["Installation"]:
        """A copy in another folder and another database of the same server, dropped afterwards."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        with new_database(self.database_url, template=self.database_url) as url:
            yield Installation(folder, url)


def places_in(folder: Path) -> dict[str, str]:
    """The settings that are places, by name, all below one folder."""
    return {name: str(folder / name) for name in PLACES} | {"catalogue_url": str(folder / "catalogue.parquet")}


@contextmanager
def new_database(server: str, template: str | None = None) -> Iterator[str]:
    """The URL of a database on the server of a URL: a copy of the one of `template`, else with an empty schema.

    Nobody may use it after the block; `drop_databases` drops it.
    """
    url = sa.make_url(server).set(database=f"test_{uuid4().hex[:12]}")
    copied = f" template {sa.make_url(template).database}" if template else ""
    with _administrator(server) as connection:
        connection.execute(sa.text(f"create database {url.database}{copied}"))
    if not template:
        with _administrator(url) as connection:
            connection.execute(sa.text(f"create schema {SCHEMA}"))
    try:
        yield url.update_query_dict({"options": f"-csearch_path={SCHEMA}"}).render_as_string(hide_password=False)
    finally:
        _to_drop.append((server, str(url.database)))


def drop_databases() -> None:
    """Drop what `new_database` made. At the end of all tests: for minutes after a thousand files were deleted, ext4
    takes long to find an inode for a new one, and a database is three hundred.
    """
    for server, name in _to_drop:  # a copy was given up before what it was copied from, where it is asked for
        # A server of the tests' own is gone by now, with all its databases.
        with suppress(sa.exc.OperationalError), _administrator(server) as connection:
            connection.execute(sa.text(f"drop database {name} with (force)"))
    _to_drop.clear()


def short_folder() -> Path:
    """A new folder for a server, in memory where that has room. Its name is short, for its socket's sake."""
    roomy = MEMORY.exists() and shutil.disk_usage(MEMORY).free > ROOM
    return Path(tempfile.mkdtemp(prefix="eclare-test-", dir=MEMORY if roomy else None))


def skip_disk_flushes(server: str) -> None:
    """Only for a server that is thrown away: what it holds does not outlive a crash of the machine."""
    with _administrator(server) as connection:
        connection.execute(sa.text("alter system set fsync = off"))
        connection.execute(sa.text("select pg_reload_conf()"))


def engine_of(url: str | sa.URL) -> sa.Engine:
    """Connections are closed when given back: one that is left open keeps a database from being copied."""
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"), poolclass=sa.NullPool)


@contextmanager
def _administrator(url: str | sa.URL) -> Iterator[sa.Connection]:
    engine = engine_of(url).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
