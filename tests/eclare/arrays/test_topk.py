import numpy as np

from eclare.arrays.topk import best_of_rows


def test_the_best_of_rows_fall_without_what_is_no_label() -> None:
    labels = np.array([[4, 2, -1, 3], [-1, -1, 7, -1]], np.int32)
    scores = np.array([[1, 5, 9, 5], [8, 8, 0, 8]], np.float32)
    best, best_scores = best_of_rows(labels, scores, 3)
    assert best.tolist() == [[2, 3, 4], [7, -1, -1]]
    assert best_scores.tolist() == [[5, 5, 1], [0, 0, 0]]
