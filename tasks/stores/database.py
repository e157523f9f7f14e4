"""PostgreSQL: a server, or the embedded one; its schema; rows in by COPY. All SQL is in sql/."""

import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import psycopg2
import psycopg2.errors
import pyarrow as pa
import sqlalchemy as sa
from pyarrow import csv
from sqlalchemy import Connection

from local import embedded_postgres
from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.settings import ROOT, Settings
from tasks.stores.one_ahead import one_ahead

__all__ = [
    "Connection",
    "Metric",
    "copy_rows",
    "locked",
    "open_database",
    "outside_transactions",
    "select",
    "server_answers",
    "statement",
    "store_metrics",
    "transaction",
]

SQL = ROOT / "sql"
VERSION_TABLE = "recommendation_schema_version"
ROWS_PER_COPY = 100_000

log = logging.getLogger("tasks")


class Metric(NamedTuple):
    """One held-out figure of one system (eclare, co-click); k is the cut-off, 0 where the metric has none.

    segment: all, or the related products that count: head, torso or tail.
    """

    system: str
    metric: str
    k: int
    value: float
    segment: str = "all"


def open_database(settings: Settings) -> sa.Engine:
    """The database of DATABASE_URL, or the embedded one started for it, with its schema brought up to date.

    Connections are closed when given back, not pooled. Raises NotReady when the server does not answer, BadInput for a
    URL that is not PostgreSQL's and for a schema newer than this code.
    """
    url = settings.database_url or embedded_postgres.start(settings.state_folder)
    engine = sa.create_engine(_with_psycopg2(url), poolclass=sa.NullPool)
    with server_answers(engine), engine.connect() as connection:
        _lock(connection, "schema")
        with connection.begin():
            _bring_schema_up_to_date(connection)
    return engine


@contextmanager
def transaction(settings: Settings) -> Iterator[Connection]:
    """One transaction on the database, committed on leaving; raises what `open_database` raises."""
    engine = open_database(settings)
    with server_answers(engine), engine.begin() as connection:
        yield connection


@contextmanager
def locked(settings: Settings, what: str) -> Iterator[Connection]:
    """A connection that alone holds the lock `what`; a second caller waits. Raises what `open_database` raises."""
    engine = open_database(settings)
    with server_answers(engine), engine.connect() as connection:
        _lock(connection, what)
        yield connection


@contextmanager
def outside_transactions(connection: Connection) -> Iterator[Connection]:
    """The connection with every statement on its own, as DETACH CONCURRENTLY demands, waiting 5 s for a lock at most.

    Raises NotReady where a long reader holds a lock.
    """
    connection.execution_options(isolation_level="AUTOCOMMIT")
    try:
        with connection.begin():
            connection.execute(statement("set_lock_timeout"))
            yield connection
    except sa.exc.OperationalError as error:
        if not isinstance(error.orig, psycopg2.errors.LockNotAvailable):
            raise
        raise NotReady(
            f"a partition must be free to be dropped, but somebody reads it: {error.orig}".strip()
        ) from error
    finally:
        if not (connection.closed or connection.invalidated):
            with connection.begin():
                connection.execute(statement("reset_lock_timeout"))
            connection.execution_options(isolation_level="READ COMMITTED")


def statement(name: str, **names: int | str) -> sa.TextClause:
    """The SQL of sql/queries/{name}.sql; `names`, never from outside, fill the {placeholders} of its table names."""
    text = (SQL / "queries" / f"{name}.sql").read_text()
    return sa.text(text.format(**names) if names else text)


def select(connection: Connection, name: str, **values: object) -> list[dict[str, Any]]:
    """The rows of the query sql/queries/{name}.sql, as dicts; `values` are bound."""
    return [dict(row) for row in connection.execute(statement(name), values).mappings()]


def copy_rows(connection: Connection, table: str, rows: pa.Table) -> None:
    """Append rows to the table's columns of the same names by COPY; null stays null, an empty text stays empty.

    Raises BadInput for a value that PostgreSQL does not take, such as a text with a zero byte.
    """
    quote = connection.dialect.identifier_preparer.quote
    copy = f"copy {quote(table)} ({', '.join(map(quote, rows.column_names))}) from stdin (format csv)"
    try:
        with closing(connection.connection.cursor()) as cursor:
            for text in one_ahead(map(_as_csv, rows.to_batches(max_chunksize=ROWS_PER_COPY))):
                cursor.copy_expert(copy, text, size=1 << 20)
    except psycopg2.DataError as error:
        raise BadInput(f"{table} takes only what PostgreSQL can store, got: {_on_one_line(error)}") from error


def _as_csv(batch: pa.RecordBatch) -> io.BytesIO:
    text = io.BytesIO()
    csv.write_csv(batch, text, csv.WriteOptions(include_header=False, quoting_style="needed"))
    text.seek(0)
    return text


def store_metrics(night: Night, model_hash: str, metrics: Iterable[Metric], settings: Settings) -> None:
    """Replace the stored metrics of one night's model; raises what `open_database` raises."""
    evaluated = {"night": night.day, "model_hash": model_hash}
    rows = [evaluated | metric._asdict() for metric in metrics]
    with transaction(settings) as connection:
        connection.execute(statement("delete_metrics"), evaluated)
        connection.execute(statement("insert_metric"), rows)


def _with_psycopg2(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername not in ("postgres", "postgresql", "postgresql+psycopg2"):
        seen = f"one of {parsed.drivername!r}" if parsed is not None else "something that is no URL"
        raise BadInput(f"DATABASE_URL must read postgresql://user:password@host:port/database, got {seen}")
    return parsed.set(drivername="postgresql+psycopg2")


@contextmanager
def server_answers(engine: sa.Engine) -> Iterator[None]:
    """Raises NotReady where the server is away, goes away or cannot work."""
    try:
        yield
    except (sa.exc.DBAPIError, psycopg2.Error) as error:  # psycopg2 alone sees what happens during a COPY
        if not _is_of_the_server(getattr(error, "orig", error)):
            raise
        shown = engine.url.difference_update_query(["password"]).render_as_string(hide_password=True)
        seen = _on_one_line(getattr(error, "orig", error))
        raise NotReady(
            f"the database {shown} must answer, got: {seen}; nothing that was live has changed: "
            "see to the server (or DATABASE_URL), then run the step again"
        ) from error


def _is_of_the_server(error: BaseException | None) -> bool:
    """Whether the server is away or cannot work; psycopg2 gives some lost connections no class of their own."""
    return (
        isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) or type(error) is psycopg2.DatabaseError
    )


def _on_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _lock(connection: Connection, what: str) -> None:
    connection.execute(statement("lock"), {"what": what})
    connection.commit()


def _bring_schema_up_to_date(connection: Connection) -> None:
    """A revision's number begins its file's name; Alembic, slow to import, is asked only where there is work."""
    known = sorted(file.name.partition("_")[0] for file in (SQL / "migrations" / "versions").glob("[0-9]*.py"))
    fresh = not sa.inspect(connection).has_table(VERSION_TABLE)
    current = None if fresh else connection.scalar(statement("schema_revision"))
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise BadInput(
            f"the database's schema must be at revision {known[-1]} or before, got {current}, which this code does not "
            "know: deploy the newer code"
        )
    _upgrade(connection)
    log.info("database schema: from revision %s to %s", current or "nothing", known[-1])


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(SQL / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")
