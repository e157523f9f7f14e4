from math import log, log2

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.topk import PAD
from eclare.evaluation.metrics import (
    SEGMENTS,
    Truth,
    evaluate,
    inverse_propensities,
    point_metrics,
    related_gains,
    segments,
)

POINTS, LABELS, K = 5, 7, 4
rankings = st.lists(
    st.lists(st.integers(0, LABELS - 1), unique=True, max_size=K).map(lambda row: row + [PAD] * (K - len(row))),
    min_size=POINTS, max_size=POINTS,
)  # fmt: skip
truths = arrays(np.bool_, (POINTS, LABELS))


def metrics_slowly(ranking: list[list[int]], truth: np.ndarray, weight: np.ndarray, k: int) -> dict[str, float]:
    rows = [(row[:k], set(np.flatnonzero(true))) for row, true in zip(ranking, truth, strict=True) if true.any()]
    hits = [[label in true for label in row] for row, true in rows]
    gain = sum(weight[label] for row, true in rows for label in row if label in true)
    best = sum(sum(sorted((weight[label] for label in true), reverse=True)[:k]) for _, true in rows)
    dcg = [sum(hit / log2(place + 2) for place, hit in enumerate(row)) for row in hits]
    ideal = [sum(1 / log2(place + 2) for place in range(min(k, len(true)))) for _, true in rows]
    return {
        "P": sum(map(sum, hits)) / k / len(rows),
        "PSP": gain / best,
        "nDCG": sum(d / i for d, i in zip(dcg, ideal, strict=True)) / len(rows),
        "recall": sum(sum(row) / len(true) for row, (_, true) in zip(hits, rows, strict=True)) / len(rows),
        "coverage": len({label for row, _ in rows for label in row if label != PAD}) / LABELS,
    }


@given(rankings, truths, st.integers(1, K))
def test_metrics_equal_their_definitions(ranking: list[list[int]], truth: np.ndarray, k: int) -> None:
    weight = 1 + np.arange(LABELS) / 3
    labels = np.array(ranking, dtype=np.int32)
    if not truth.any():
        with pytest.raises(ValueError, match="at least one point with a true label"):
            evaluate(labels, sp.csr_matrix(truth), weight, [k])
        return
    found = {m.name: m.value for m in evaluate(labels, sp.csr_matrix(truth.astype(np.float32)), weight, [k])}
    assert found == pytest.approx(metrics_slowly(ranking, truth, weight, k))


def test_a_perfect_ranking_scores_one() -> None:
    truth = sp.csr_matrix(np.eye(3, dtype=np.float32))
    found = evaluate(np.arange(3, dtype=np.int32)[:, None], truth, np.ones(3), [1])
    assert {m.value for m in found} == {1.0}


def test_rare_labels_weigh_more_by_the_published_formula() -> None:
    clicks = sp.csr_matrix(np.array([[1, 1, 0]] * 9 + [[1, 0, 0]], dtype=np.float32))
    a, b, n = 0.6, 2.6, 10
    by_hand = [1 + (log(n) - 1) * (b + 1) ** a / (frequency + b) ** a for frequency in (10, 9, 0)]
    assert inverse_propensities(clicks) == pytest.approx(by_hand)


def test_a_cut_beyond_the_ranking_is_refused() -> None:
    with pytest.raises(ValueError, match="at most the 1 labels"):
        evaluate(np.zeros((1, 1), np.int32), sp.csr_matrix(np.ones((1, 1))), np.ones(1), [5])


def test_segments_hold_a_third_of_the_training_points_each_and_what_was_never_clicked_is_tail():
    clicks = sp.csr_matrix(np.repeat(np.eye(6), [6, 3, 2, 1, 0, 6], axis=0))  # labels with 6, 3, 2, 1, 0, 6 points
    assert [SEGMENTS[place] for place in segments(clicks)] == ["head", "tail", "tail", "tail", "tail", "torso"]


@given(seed=st.integers(0, 1000), k=st.integers(1, 5))
def test_segment_recall_is_that_of_counting_one_by_one(seed, k):
    random = np.random.default_rng(seed)
    truth = sp.csr_matrix(random.random((7, 9)) < 0.4).astype(np.float32)
    labels = np.array([random.permutation(9)[:5] for _ in range(7)], np.int32)
    part = random.integers(0, 3, 9).astype(np.int8)
    figures = Truth(truth, np.ones(9), [1, k], segment_L=part).metrics(labels)
    found = {each.segment: each for each in figures if each.segment != "all"}
    assert all((each.name, each.k) == ("recall", k) for each in found.values())
    for place, name in enumerate(SEGMENTS):
        shares = []
        for point in range(7):
            true = {label for label in truth[[point]].indices if part[label] == place}
            if true:
                shares.append(len(true & set(labels[point, :k])) / len(true))
        assert (found[name].value if name in found else None) == (pytest.approx(np.mean(shares)) if shares else None)


@given(rankings, arrays(np.int8, (POINTS, LABELS), elements=st.integers(0, 4)), st.integers(1, K))
def test_lift_is_the_discounted_gain_of_related_labels_over_the_best(ranking, shared, k) -> None:
    """As ../shared/peers/next_days.py counts it: pairs that met twice or more, and no less often than by chance."""
    random = np.random.default_rng(0)
    sessions_N, sessions_L, sessions = random.integers(1, 9, POINTS), random.integers(1, 9, LABELS), 20
    given_NL = sp.csr_matrix(shared.astype(np.float32))
    gains = related_gains(given_NL, sessions_N, sessions_L, sessions)
    assert np.array_equal(given_NL.toarray(), shared), "what was given stays"
    lift = shared * sessions / np.outer(sessions_N, sessions_L)
    slowly = np.where((shared >= 2) & (lift >= 1), np.log1p(lift), 0)
    assert np.allclose(gains.toarray(), slowly)
    assert gains.nnz == np.count_nonzero(slowly), "no zero is stored"
    truth, labels = sp.csr_matrix(shared.astype(np.float32)), np.array(ranking, np.int32)
    if not truth.nnz:
        return
    found = point_metrics(labels, truth, np.ones(LABELS), [k], gains)[-1]
    expected = []
    for point in np.flatnonzero(shared.any(axis=1)):
        dcg = sum(
            slowly[point, label] / log2(place + 2) for place, label in enumerate(ranking[point][:k]) if label != PAD
        )
        ideal = sum(gain / log2(place + 2) for place, gain in enumerate(sorted(slowly[point], reverse=True)[:k]))
        expected.append(dcg / ideal if ideal else 0.0)
    assert (found.name, found.k) == ("lift", k)
    assert found.value == pytest.approx(np.mean(expected))


def test_lift_without_the_number_of_sessions_is_refused() -> None:
    with pytest.raises(ValueError, match="number of all sessions, 1 or more, got 0 beside 1 pairs"):
        related_gains(sp.csr_matrix(np.array([[2.0]])), np.ones(1), np.ones(1), 0)
