"""PostgreSQL: connections to the server of DATABASE_URL, the schema, rows in by COPY. All SQL is in sql/."""

import io
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import psycopg2.errors
import pyarrow as pa
import sqlalchemy as sa
from pyarrow import csv
from sqlalchemy import Connection
from tenacity import retry, retry_if_exception, stop_after_attempt

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.settings import IS_CHECKOUT, ROOT, Settings
from tasks.stores.refusals import is_locked, refusal_of

__all__ = [
    "Connection",
    "Metric",
    "connect",
    "copy_out",
    "copy_rows",
    "database_engine",
    "migrate",
    "outside_transactions",
    "refusable",
    "select",
    "statement",
    "store_metrics",
    "transaction",
]

SQL = ROOT / "sql" if IS_CHECKOUT else Path(__file__).parents[1] / "sql"
VERSION_TABLE = "recommendation_schema_version"
ROWS_PER_COPY = 100_000
# Seconds, unless DATABASE_URL says otherwise: a server that is gone without a word is noticed within two minutes.
PATIENCE = {"connect_timeout": 10, "keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 6}
MAY_NOT_MIGRATE = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InvalidSchemaName)

log = logging.getLogger("tasks")


# Systems: our ranking, the rival that the gate compares with, the version that is live; "eclare / OTHER" is a ratio.
OURS, BASELINE, LIVE = "eclare", "co-click", "live"


def by_rules(system: str) -> str:
    """The lists that the shop's rules make of a system's ranking, as readers get them."""
    return f"{system} by rules"


class Metric(NamedTuple):
    """One held-out figure of one system (eclare, co-click, ...); k is the cut-off, 0 where the metric has none.

    system: "eclare / co-click" is the ratio of two. segment: all, the related products that count (head, torso or
    tail), or the history of the queries (list_segments.HISTORY). low, high: its 95% interval; None where it has none.
    """

    system: str
    metric: str
    k: int
    value: float
    segment: str = "all"
    low: float | None = None
    high: float | None = None


def database_engine(settings: Settings) -> sa.Engine:
    """The database of DATABASE_URL; connects to nothing, and its connections are closed when given back, not pooled.

    Raises BadInput where DATABASE_URL is missing or no URL of PostgreSQL.
    """
    if settings.database_url is None:
        raise BadInput(
            "DATABASE_URL must name the PostgreSQL server, got nothing: set it to "
            "postgresql://user:password@host:port/database, in the environment or .env; on a machine without a server "
            "write `python -m local run ...` for `python -m tasks ...`, which starts an embedded one"
        )
    return _engine(settings.database_url)


@cache
def _engine(url: str) -> sa.Engine:
    """Kept, because a new one asks the server for its version and settings on its first connection."""
    parsed = _with_psycopg2(url)
    wanted = {name: value for name, value in PATIENCE.items() if name not in parsed.query}
    return sa.create_engine(parsed, poolclass=sa.NullPool, connect_args=wanted)


@contextmanager
def connect(settings: Settings) -> Iterator[Connection]:
    """A connection to a database whose schema is of this code's revision.

    Raises what `database_engine` raises, NotReady where the server is away, goes away or its schema is not migrated
    yet, BadInput for a schema newer than this code.
    """
    engine = database_engine(settings)
    with _refusals_told(engine), engine.connect() as connection:
        with connection.begin():
            connection.execute(statement("become_publisher"))
        _check_schema(connection)
        yield connection


@contextmanager
def transaction(settings: Settings) -> Iterator[Connection]:
    """One transaction on the database, committed on leaving; raises what `connect` raises."""
    with connect(settings) as connection, connection.begin():
        yield connection


def migrate(settings: Settings) -> str:
    """Bring the schema to this code's revision, from nothing or an older one, and return that revision.

    Harmless where it is there already; two at once wait for each other. Raises what `database_engine` raises, NotReady
    where the server is away or takes no writes, as a replica does that may be promoted, BadInput for a newer schema,
    for a database that cannot hold every text and where the user of DATABASE_URL may not make tables.
    """
    engine = database_engine(settings)
    newest = _revisions()[-1]
    with _refusals_told(engine), engine.connect() as connection:
        with connection.begin():
            _check_encoding(connection)
            connection.execute(statement("lock_schema"))
        current = _revision(connection)
        _check_known(current)
        if current != newest:
            _upgrade(connection)
            log.info("database schema: from revision %s to %s", current or "nothing", newest)
        else:  # a restored dump may have come without its grants
            with connection.begin():
                connection.exec_driver_sql((SQL / "grants.sql").read_text(), execution_options={"no_parameters": True})
    return newest


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
        if not is_locked(error):
            raise
        raise NotReady(
            f"a partition must be free to be dropped, but somebody reads it ({str(error.orig).strip()}): "
            "end that query, or leave it to the next publish"
        ) from error
    finally:
        if not (connection.closed or connection.invalidated):
            with connection.begin():
                connection.execute(statement("reset_lock_timeout"))
            connection.execution_options(isolation_level="READ COMMITTED")


@contextmanager
def refusable() -> Iterator[None]:
    """Raises BadInput, in its own words, where a function of sql/views refuses what it is asked (raise exception)."""
    try:
        yield
    except sa.exc.InternalError as error:
        if not isinstance(error.orig, psycopg2.errors.RaiseException):
            raise
        raise BadInput(str(error.orig.diag.message_primary)) from error


def statement(name: str, **names: int | str) -> sa.TextClause:
    """The SQL of sql/queries/{name}.sql; `names`, never from outside, fill the {placeholders} of its table names."""
    text = (SQL / "queries" / f"{name}.sql").read_text()
    return sa.text(text.format(**names) if names else text)


def select(connection: Connection, name: str, **values: object) -> list[dict[str, Any]]:
    """The rows of the query sql/queries/{name}.sql, as dicts; `values` are bound."""
    return [dict(row) for row in connection.execute(statement(name), values).mappings()]


def copy_rows(connection: Connection, table: str, rows: pa.RecordBatchReader) -> None:
    """Append rows to the table's columns of the same names by COPY; null stays null, an empty text stays empty.

    Three batches are in memory at once: one is sent, one is text, one is made. Raises BadInput for a value that
    PostgreSQL does not take, such as a text with a zero byte.
    """
    quote = connection.dialect.identifier_preparer.quote
    copy = f"copy {quote(table)} ({', '.join(map(quote, rows.schema.names))}) from stdin (format csv)"
    try:
        with closing(connection.connection.cursor()) as cursor:
            for text in _prefetch(map(_as_csv, rows)):
                cursor.copy_expert(copy, text, size=1 << 20)
    except psycopg2.DataError as error:
        raise BadInput(f"{table} takes only what PostgreSQL can store, got: {_on_one_line(error)}") from error


def copy_out(connection: Connection, query: sa.TextClause, file: Path) -> None:
    """Write what a query of `copy ... to stdout` answers to a file, as it comes."""
    with file.open("wb") as text, closing(connection.connection.cursor()) as cursor:
        cursor.copy_expert(query.text, text, size=1 << 20)


def _as_csv(batch: pa.RecordBatch) -> io.BytesIO:
    text = io.BytesIO()
    csv.write_csv(batch, text, csv.WriteOptions(include_header=False, quoting_style="needed"))
    text.seek(0)
    return text


def _prefetch(batches: Iterator[io.BytesIO]) -> Iterator[io.BytesIO]:
    """The same batches in the same order, the next one made by a thread while one is sent."""
    with ThreadPoolExecutor(1) as executor:
        coming = executor.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = executor.submit(next, batches, None)
            yield batch


def store_metrics(night: Night, model_hash: str, metrics: Iterable[Metric], settings: Settings) -> None:
    """Replace the stored metrics of one night's model; raises what `connect` raises."""
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
def _refusals_told(engine: sa.Engine) -> Iterator[None]:
    """Raises what the server refuses as NotReady or BadInput (tasks/stores/refusals.py)."""
    try:
        yield
    except (sa.exc.DBAPIError, psycopg2.Error) as error:  # psycopg2 alone sees what happens during a COPY
        seen = getattr(error, "orig", error)
        refusal = refusal_of(seen)
        if refusal is None:
            raise
        raise refusal.raised(
            f"the database {_shown(engine)} must answer and do what it is asked, got: {_on_one_line(seen)}; "
            f"nothing that was live has changed: {refusal.remedy}"
        ) from error


def _on_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _shown(engine: sa.Engine) -> str:
    return engine.url.difference_update_query(["password"]).render_as_string(hide_password=True)


@cache
def _revisions() -> list[str]:
    """The revisions that this code knows, oldest first; a revision's number begins its file's name."""
    return sorted(file.name.partition("_")[0] for file in (SQL / "migrations" / "versions").glob("[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None where it was never migrated."""
    try:
        with connection.begin():
            revision: str | None = connection.scalar(statement("schema_revision"))
    except sa.exc.ProgrammingError as error:
        if not isinstance(error.orig, psycopg2.errors.UndefinedTable):
            raise
        return None
    return revision


def _check_encoding(connection: Connection) -> None:
    encoding = connection.scalar(statement("server_encoding"))
    if encoding != "UTF8":
        raise BadInput(
            f"the database {_shown(connection.engine)} must hold titles in every script, as UTF8 does, got {encoding}: "
            "make another with create database ... encoding 'UTF8' template template0"
        )


def _check_schema(connection: Connection) -> None:
    current, newest = _revision(connection), _revisions()[-1]
    _check_known(current)
    if current != newest:
        raise NotReady(
            f"the schema of the database {_shown(connection.engine)} must be at revision {newest}, "
            f"got {current or 'none'}: run `python -m tasks migrate`"
        )


def _check_known(revision: str | None) -> None:
    if revision is not None and revision not in _revisions():
        raise BadInput(
            f"the database's schema must be at revision {_revisions()[-1]} or before, got {revision}, which this code "
            "does not know: deploy the newer code"
        )


@retry(retry=retry_if_exception(is_locked), stop=stop_after_attempt(3), reraise=True)
def _upgrade(connection: Connection) -> None:
    from alembic import command  # slow to import, and needed for a migration alone
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(SQL / "migrations").replace("%", "%%"))
    try:
        with connection.begin():
            connection.execute(statement("set_lock_timeout"))  # or all readers wait behind one that never ends
            command.upgrade(config, "head")
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, MAY_NOT_MIGRATE):
            raise
        raise BadInput(
            f"the user of DATABASE_URL must be allowed to make tables in {_shown(connection.engine)}, got: "
            f"{_on_one_line(error.orig)}; grant it create on the schema, or migrate as the owner of the database"
        ) from error
