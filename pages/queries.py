"""What the page reads from PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import HTTPException

from tasks.errors import BadInput, NotReady
from tasks.settings import Settings
from tasks.stores.database import Connection, select, statement, transaction

TIMEOUT = {"milliseconds": 5_000}


class Reader:
    """One connection for all that a page reads; a name of sql/queries with its values gives rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, query: str, **values: object) -> list[dict[str, Any]]:
        """The rows of a query; raises HTTPException 400 for a text that the database cannot hold."""
        if any("\0" in value for value in values.values() if isinstance(value, str)):
            raise HTTPException(400, "A text must hold no zero byte (%00), as no product does: leave it out.")
        return select(self._connection, query, **values)

    def one(self, query: str, **values: object) -> dict[str, Any] | None:
        """The first row, None where there is none."""
        return next(iter(self(query, **values)), None)


@contextmanager
def reading() -> Iterator[Reader]:
    """What a page reads in one transaction.

    Raises HTTPException 503 where the database is away or takes too long.
    """
    with http_errors(), transaction(Settings()) as connection:
        connection.execute(statement("prepare_to_read"), TIMEOUT)
        yield Reader(connection)


def rows(query: str, **values: object) -> list[dict[str, Any]]:
    """The rows of a single query of sql/queries; raises what `reading` raises."""
    with reading() as read:
        return read(query, **values)


@contextmanager
def http_errors() -> Iterator[None]:
    """Turn a refusal into an answer: 400 for what was asked, 503 for a service that is away."""
    try:
        yield
    except BadInput as error:
        raise HTTPException(400, str(error)) from error
    except NotReady as error:
        raise HTTPException(503, str(error)) from error
