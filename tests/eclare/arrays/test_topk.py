import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.topk import PAD, best_of_rows, best_per_row, distinct_per_row, insert, largest

LABELS = arrays(np.int32, 6, elements=st.integers(-1, 9), unique=True)
SCORES = arrays(np.float32, 6, elements=st.integers(-2, 2))


def best_slowly(labels: np.ndarray, scores: np.ndarray, k: int) -> list[tuple[int, float]]:
    known = [(label, score) for label, score in zip(labels, scores, strict=True) if label != PAD]
    return sorted(known, key=lambda found: (-found[1], found[0]))[:k] + [(PAD, 0)] * (k - len(known))


@given(LABELS, SCORES)
def test_one_row_of_labels_has_the_same_best_by_entries_and_by_lists(labels, scores) -> None:
    for k in (1, 4, 6):
        right = best_slowly(labels, scores, k)
        by_lists = best_of_rows(labels[None], scores[None], k)
        known = labels != PAD
        by_entries = best_per_row(np.zeros(known.sum(), np.int32), labels[known], scores[known], 1, k)
        for best, best_scores in (by_lists, by_entries):
            assert list(zip(best[0], best_scores[0], strict=True)) == right


def test_the_best_of_each_row_fall_and_ties_go_to_the_lower_label() -> None:
    row, label = np.array([1, 0, 1, 1], np.int32), np.array([5, 2, 3, 4], np.int32)
    labels, scores = best_per_row(row, label, np.array([1, 7, 1, 2], np.float32), 3, 2)
    assert labels.tolist() == [[2, -1], [4, 3], [-1, -1]]
    assert scores.tolist() == [[7, 0], [2, 1], [0, 0]]


@given(arrays(np.float32, st.integers(0, 9), elements=st.integers(0, 3)), st.integers(1, 10))
def test_the_largest_values_come_first_and_ties_in_order(values, k) -> None:
    right = sorted(range(len(values)), key=lambda place: (-values[place], place))[:k]
    assert largest(values, k).tolist() == right


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 6))
def test_insertion_keeps_the_largest_and_the_first_of_equals(values: list[int], kept: int) -> None:
    columns_K, values_K = np.zeros(kept, np.int32), np.zeros(kept, np.float32)
    for column, value in enumerate(values):
        insert(columns_K, values_K, np.int32(column), np.float32(value))
    right = sorted(enumerate(values), key=lambda met: (-met[1], met[0]))[:kept]
    assert list(zip(columns_K, values_K, strict=True))[: len(right)] == right
    assert not values_K[len(right) :].any()


@given(arrays(np.int32, (4, 6), elements=st.integers(-1, 5)), arrays(np.int32, 4, elements=st.integers(0, 5)))
def test_distinct_columns_are_sorted_and_end_with_pad(columns, without) -> None:
    found = distinct_per_row(columns, without)
    right = [sorted(set(row) - {PAD, own}) for row, own in zip(columns.tolist(), without.tolist(), strict=True)]
    longest = max(map(len, right))
    assert found.tolist() == [row + [PAD] * (longest - len(row)) for row in right]


def test_the_best_of_rows_fall_without_what_is_no_label() -> None:
    labels = np.array([[4, 2, -1, 3], [-1, -1, 7, -1]], np.int32)
    scores = np.array([[1, 5, 9, 5], [8, 8, 0, 8]], np.float32)
    best, best_scores = best_of_rows(labels, scores, 3)
    assert best.tolist() == [[2, 3, 4], [7, -1, -1]]
    assert best_scores.tolist() == [[5, 5, 1], [0, 0, 0]]
