"""Two things at once: the next item is made while one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items in the same order, each made by another thread while the one before it is used."""
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(_next, items)
        while held := coming.result():
            coming = beside.submit(_next, items)
            yield held[0]


def _next(items: Iterator[Item]) -> list[Item]:
    return list(islice(items, 1))
