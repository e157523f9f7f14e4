"""What the page reads from PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import HTTPException

from tasks.errors import BadInput, NotReady
from tasks.settings import Settings
from tasks.stores.database import select, statement, transaction

TIMEOUT = {"milliseconds": 5_000}


def rows(query: str, **values: object) -> list[dict[str, Any]]:
    """The rows of a query of sql/queries.

    Raises HTTPException 503 where the database is away or takes too long, 400 for a text that it cannot hold.
    """
    if any("\0" in value for value in values.values() if isinstance(value, str)):
        raise HTTPException(400, "A text must hold no zero byte (%00), as no product does: leave it out.")
    with http_errors(), transaction(Settings()) as connection:
        connection.execute(statement("set_statement_timeout"), TIMEOUT)
        return select(connection, query, **values)


@contextmanager
def http_errors() -> Iterator[None]:
    """Turn a refusal into an answer: 400 for what was asked, 503 for a service that is away."""
    try:
        yield
    except BadInput as error:
        raise HTTPException(400, str(error)) from error
    except NotReady as error:
        raise HTTPException(503, str(error)) from error
