from dataclasses import replace

import numpy as np
import pytest

from eclare.related.recommendations import SOURCES, Recommendations

IDS = np.array(["a", "b", "c"])


def recommendations(labels: list[list[int]], scores: list[list[float]]) -> Recommendations:
    return Recommendations(
        np.array(labels, np.int32), np.array(scores, np.float32), np.zeros(np.shape(labels), np.int8), IDS, IDS
    )


def test_they_are_the_same_after_saving(tmp_path) -> None:
    made = recommendations([[1, 2], [0, -1], [-1, -1]], [[2, 1], [3, 0], [0, 0]])
    made.save(tmp_path)
    read = Recommendations.load(tmp_path)
    assert np.array_equal(read.labels_NK, made.labels_NK) and np.array_equal(read.scores_NK, made.scores_NK)
    assert repr(read) == "Recommendations(3 points, 1 with 2; 3 of 3 labels)"


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([[1, 2]], [[1, 1]], "3 x K"),
        ([[3], [0], [0]], [[1], [1], [1]], r"-1..2, got 0..3"),
        ([[1, 2]] * 3, [[1, 2]] * 3, "must fall"),
        ([[1, 2]] * 3, [[1, np.nan]] * 3, "must be finite"),
        ([[-1, 2]] * 3, [[1, 0]] * 3, "end of a row"),
    ],
)
def test_what_does_not_hold_together_is_refused(labels, scores, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recommendations(labels, scores)


def test_a_source_that_nobody_knows_is_refused() -> None:
    made = recommendations([[1, 2], [0, -1], [-1, -1]], [[2, 1], [3, 0], [0, 0]])
    with pytest.raises(ValueError, match="sources_NK must be a place in"):
        replace(made, sources_NK=made.sources_NK + np.int8(len(SOURCES)))
