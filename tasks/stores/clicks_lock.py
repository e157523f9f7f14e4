"""The lock on clicks: steps that read or write them hold it together, an erasure alone."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2.errors
import sqlalchemy as sa

from tasks.errors import NotReady
from tasks.settings import Settings
from tasks.stores.database import select, statement, transaction


@contextmanager
def hold_clicks(settings: Settings, who: str, *, alone: bool = False) -> Iterator[Callable[[], None]]:
    """Keep clicks from being erased or, `alone`, from being read and written; PostgreSQL lets go when the holder dies.

    who: what holds it, told to those who wait. Yields a check to make before clicks are replaced: it raises NotReady
    where the connection was lost, and the lock with it. Raises what `connect` raises, and NotReady, naming the holders,
    where the lock is not free within LOCK_MINUTES.
    """
    name = f"{who}, {socket.gethostname()[:20]} {os.getpid()}"  # PostgreSQL keeps 63 characters
    milliseconds = str(int(settings.lock_minutes * 60_000))
    with transaction(settings) as connection:
        connection.execute(statement("prepare_to_hold"), {"who": name, "wait": milliseconds})
        try:
            connection.execute(statement("hold_clicks_alone" if alone else "hold_clicks_together"))
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, psycopg2.errors.LockNotAvailable):
                raise
            raise NotReady(_held_by_others(who, settings)) from error
        yield lambda: connection.execute(statement("still_there")).close()


def _held_by_others(who: str, settings: Settings) -> str:
    with transaction(settings) as connection:
        others = select(connection, "holders_of_clicks")
    seen = "; ".join(
        f"{other['who'] or 'a nameless connection'} {'holds' if other['granted'] else 'waits for'} it "
        f"(process {other['pid']} of PostgreSQL, since {other['since']} UTC)"
        for other in others
    )
    return (
        f"{who} needs the lock on clicks within LOCK_MINUTES ({settings.lock_minutes:g}), but "
        f"{seen or 'somebody held it until just now'}: wait until that has ended, or end it with "
        "select pg_terminate_backend(process), then run this again"
    )
