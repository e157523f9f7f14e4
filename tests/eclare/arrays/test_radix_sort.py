import numpy as np
import pytest

from eclare.arrays.radix_sort import DIGIT_BITS, FEW, sort_rows


@pytest.mark.parametrize("end_bit", [4 * DIGIT_BITS, 4 * DIGIT_BITS + 1, 63])
def test_rows_of_all_sizes_are_sorted(end_bit: int) -> None:
    random = np.random.default_rng(end_bit)
    sizes = [0, 1, FEW, FEW + 1, 0, 3_000]
    rows = [random.integers(0, 2**end_bit, size) for size in sizes]
    indptr, integers = np.concatenate([[0], np.cumsum(sizes)]), np.concatenate(rows)
    sort_rows(indptr, integers, 0, end_bit)
    assert np.array_equal(integers, np.concatenate([np.sort(row) for row in rows]))


def test_long_rows_keep_the_order_of_those_that_agree_in_the_bits_to_sort_by() -> None:
    integers = np.random.default_rng(0).integers(0, 2**20, 5_000)
    expected = integers[np.argsort(integers >> 12, kind="stable")]
    sort_rows(np.array([0, len(integers)]), integers, 12, 20)
    assert np.array_equal(integers, expected) and (np.diff(expected) < 0).any()
