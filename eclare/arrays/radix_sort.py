"""Many lists of integers side by side, each sorted by radix: digit by digit, the least significant one first."""

import numpy as np
import numpy.typing as npt

from eclare.arrays.kernels import numba

Integers = npt.NDArray[np.int64]

DIGIT_BITS = 7
FEW = 64  # integers, sorted as fast by comparing them


@numba.njit(parallel=True, cache=True)
def sort_rows(indptr: Integers, integers: Integers, first_bit: int, end_bit: int) -> None:
    """Sort every row integers[indptr[r]:indptr[r + 1]] in place by its bits from first_bit to before end_bit.

    Integers must be 0 or more and below 2^end_bit. Those that agree in these bits stay in their order in rows of more
    than FEW, and are sorted by their lower bits in shorter ones.
    """
    for row in numba.prange(len(indptr) - 1):
        of_row = integers[indptr[row] : indptr[row + 1]]
        if len(of_row) <= FEW:
            of_row.sort()
        else:
            _sort_digits(of_row, first_bit, end_bit)


@numba.njit(cache=True)
def _sort_digits(integers: Integers, first_bit: int, end_bit: int) -> None:
    from_, to = integers, np.empty_like(integers)
    passes = 0
    for bit in range(first_bit, end_bit, DIGIT_BITS):
        _sort_digit(from_, to, bit)
        from_, to = to, from_
        passes += 1
    if passes % 2:
        integers[:] = from_


@numba.njit(cache=True)
def _sort_digit(from_: Integers, to: Integers, bit: int) -> None:
    """Counting sort by the digit that begins at this bit."""
    mask = (1 << DIGIT_BITS) - 1
    next_ = np.zeros(mask + 2, np.int64)
    for integer in from_:
        next_[((integer >> bit) & mask) + 1] += 1
    for digit in range(mask):
        next_[digit + 1] += next_[digit]
    for integer in from_:
        digit = (integer >> bit) & mask
        to[next_[digit]] = integer
        next_[digit] += 1
