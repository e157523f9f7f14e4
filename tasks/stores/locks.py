"""Locks that analysts cannot hold: on clicks, and on what one step at a time may do. Those of the dead are free."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from tasks.errors import NotReady
from tasks.settings import Settings
from tasks.stores.database import Connection, connect, select, statement, transaction
from tasks.stores.refusals import is_locked

WHAT_TO_DO = "wait until that has ended, or end it with select pg_terminate_backend(process), then run this again"


@contextmanager
def hold_clicks(settings: Settings, who: str, *, alone: bool = False) -> Iterator[Callable[[], None]]:
    """Keep clicks from being erased or, `alone`, from being read and written; steps hold the lock together.

    who: what holds it, told to those who wait. Yields a check to make before clicks are replaced: it raises NotReady
    where the connection was lost, and the lock with it. Raises what `connect` raises, and NotReady, naming the holders,
    where the lock is not free within LOCK_MINUTES.
    """
    with transaction(settings) as connection:
        if not _take(connection, who, statement("hold_clicks_alone" if alone else "hold_clicks_together"), settings):
            raise NotReady(_clicks_are_held(who, settings))
        yield lambda: connection.execute(statement("still_there")).close()


@contextmanager
def hold_step(settings: Settings, what: str) -> Iterator[None]:
    """Keep others from what holds the lock `what`.

    Raises what `connect` raises, and NotReady, naming the holder, where the lock is not free within LOCK_MINUTES.
    """
    with transaction(settings) as holder:
        if not _take(holder, what, statement("hold_step").bindparams(what=what), settings):
            raise NotReady(_step_is_held(what, settings))
        yield


@contextmanager
def locked(settings: Settings, what: str) -> Iterator[Connection]:
    """A connection while nobody else holds the lock `what`; raises what `hold_step` raises."""
    with hold_step(settings, what), connect(settings) as connection:
        yield connection


def _take(connection: Connection, who: str, lock: sa.TextClause, settings: Settings) -> bool:
    """Whether a lock was free within LOCK_MINUTES; it is held until the connection's transaction ends."""
    name = f"{who}, {socket.gethostname()[:20]} {os.getpid()}"  # PostgreSQL keeps 63 characters
    milliseconds = str(int(settings.lock_minutes * 60_000))
    connection.execute(statement("prepare_to_hold"), {"who": name, "wait": milliseconds})
    try:
        connection.execute(lock)
    except sa.exc.OperationalError as error:
        if not is_locked(error):
            raise
        return False
    return True


def _clicks_are_held(who: str, settings: Settings) -> str:
    with transaction(settings) as connection:
        others = select(connection, "holders_of_clicks")
    seen = "; ".join(
        f"{other['who'] or 'a nameless connection'} {'holds' if other['granted'] else 'waits for'} it {_where(other)}"
        for other in others
    )
    return (
        f"{who} needs the lock on clicks within LOCK_MINUTES ({settings.lock_minutes:g}), but "
        f"{seen or 'somebody held it until just now'}: {WHAT_TO_DO}"
    )


def _step_is_held(what: str, settings: Settings) -> str:
    with transaction(settings) as connection:
        others = select(connection, "holders_of_step", what=what)
    seen = "; ".join(f"{other['who']} {_where(other)}" for other in others)
    return (
        f"the lock {what!r} must be free within LOCK_MINUTES ({settings.lock_minutes:g}), but it is held: "
        f"{seen or 'by a connection without a name'}: {WHAT_TO_DO}"
    )


def _where(other: dict[str, object]) -> str:
    return "(process {pid} of PostgreSQL, since {since} UTC)".format_map(other)
