"""Work done ahead by threads: while one result is used, the next ones are made."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

AHEAD = 6  # made before they are asked for, at most
THREADS = 3

Item = TypeVar("Item")
Made = TypeVar("Made")


class _End:
    """There are no more items."""


def ahead(make: Callable[[Item], Made], items: Iterator[Item], *, first_alone: bool = False) -> Iterator[Made]:
    """As map(make, items): the same in the same order, made by threads before it is asked for.

    One thread takes the items, one after the other; what it or `make` raises is raised here, in its turn. Whoever
    leaves early waits for what is being made, and no more is made. first_alone: the others begin once the first is
    made, which computes what all of them share.
    """
    if first_alone:
        yield from map(make, islice(items, 1))
    taking, making = ThreadPoolExecutor(1), ThreadPoolExecutor(THREADS)
    waiting: deque[Future[Made | _End]] = deque()

    def made(taken: Future[Item | _End]) -> Made | _End:
        item = taken.result()
        return item if isinstance(item, _End) else make(item)

    try:
        while True:
            while len(waiting) < AHEAD:
                waiting.append(making.submit(made, taking.submit(next, items, _End())))
            result = waiting.popleft().result()
            if isinstance(result, _End):
                return
            yield result
    finally:
        for pool in (taking, making):
            pool.shutdown(cancel_futures=True)
