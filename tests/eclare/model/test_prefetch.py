import threading
import time
from collections.abc import Iterator

import pytest

from eclare.model.prefetch import AHEAD, ahead


def counted(end: int, taken: list[int]) -> Iterator[int]:
    for number in range(end):
        taken.append(number)
        yield number


def slower_at_first(number: int) -> int:
    time.sleep(0.002 * (number % 3 == 0))
    return number * number


def test_it_is_map_whoever_ends_first() -> None:
    assert list(ahead(slower_at_first, iter(range(40)))) == [number * number for number in range(40)]
    assert list(ahead(slower_at_first, iter([]))) == []


def test_the_first_is_made_before_the_others_begin() -> None:
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        time.sleep(0.02 * (number == 0))
        return number

    made = ahead(make, iter(range(12)), first_alone=True)
    assert next(made) == 0
    assert begun == [0]
    assert list(made) == list(range(1, 12))
    assert list(ahead(make, iter([]), first_alone=True)) == []


def test_few_are_made_before_they_are_asked_for_and_by_other_threads() -> None:
    taken: list[int] = []
    made = ahead(lambda _: threading.current_thread(), counted(1000, taken))
    assert next(made) is not threading.main_thread()
    time.sleep(0.05)
    assert 1 <= len(taken) <= AHEAD + 1
    made.close()
    after = len(taken)
    time.sleep(0.05)
    assert len(taken) == after <= AHEAD + 1


@pytest.mark.parametrize("fails", ["taking", "making"])
def test_what_a_thread_raises_is_raised_in_its_turn(fails: str) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        if fails == "taking":
            raise ZeroDivisionError
        yield from range(5, 10)

    def make(number: int) -> int:
        return 1 // (number - 5) if fails == "making" and number == 5 else number

    made = ahead(make, items())
    assert [next(made) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        next(made)
    assert list(made) == []
