"""Locks of steps that one at a time may run: rows that analysts cannot write, and so cannot hold."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from tasks.errors import NotReady
from tasks.settings import Settings
from tasks.stores.database import Connection, connect, select, statement, transaction
from tasks.stores.refusals import is_locked


@contextmanager
def locked(settings: Settings, what: str) -> Iterator[Connection]:
    """A connection while nobody else holds the lock `what`; PostgreSQL lets go when the holder dies.

    Raises what `connect` raises, and NotReady, naming the holder, where the lock is not free within LOCK_MINUTES.
    """
    name = f"{what}, {socket.gethostname()[:20]} {os.getpid()}"  # PostgreSQL keeps 63 characters
    milliseconds = str(int(settings.lock_minutes * 60_000))
    with transaction(settings) as holder:
        holder.execute(statement("prepare_to_hold"), {"who": name, "wait": milliseconds})
        try:
            holder.execute(statement("hold_step"), {"what": what})
        except sa.exc.OperationalError as error:
            if not is_locked(error):
                raise
            raise NotReady(_held_by_others(what, settings)) from error
        with connect(settings) as connection:
            yield connection


def _held_by_others(what: str, settings: Settings) -> str:
    with transaction(settings) as connection:
        others = select(connection, "holders_of_step", what=what)
    seen = "; ".join(
        f"{each['who']} (process {each['pid']} of PostgreSQL, since {each['since']} UTC)" for each in others
    )
    return (
        f"the lock {what!r} must be free within LOCK_MINUTES ({settings.lock_minutes:g}), but it is held: "
        f"{seen or 'by a connection without a name'}: wait until that has ended, or end it with "
        "select pg_terminate_backend(process), then run this again"
    )
