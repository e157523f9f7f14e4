import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.arrays.tfidf import normalise_rows
from eclare.arrays.topk import PAD
from eclare.related.rerank import ListRules, select

LABELS = 12


def ranked_lists(random: np.random.Generator, points: int, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.stack([random.permutation(LABELS)[:candidates] for _ in range(points)]).astype(np.int32)
    scores = -np.sort(-random.normal(size=(points, candidates)), axis=1).astype(np.float32)
    for row, there in enumerate(random.integers(0, candidates + 1, points)):
        labels[row, there:], scores[row, there:] = PAD, 0
    return labels, scores


def reference(labels, scores, titles, category, rules):
    """One list, chosen label by label; a tie goes to the better ranked one."""
    left = [place for place, label in enumerate(labels) if label != PAD]
    lowest, highest = (scores[left[-1]], scores[0]) if left else (0, 1)
    chosen = []
    while left and len(chosen) < rules.k:

        def worth(place):
            alike = max((titles[labels[place]] @ titles[labels[other]] for other in chosen), default=0)
            relevance = (scores[place] - lowest) / max(highest - lowest, 1e-12)
            return (1 - rules.diversity) * relevance - rules.diversity * alike

        def fits(place):
            same = sum(category[labels[other]] == category[labels[place]] for other in chosen)
            return not rules.most_of_category or category[labels[place]] < 0 or same < rules.most_of_category

        left = [place for place in left if fits(place)]
        if not left:
            break
        best = max(left, key=lambda place: (round(worth(place), 5), -place))
        left.remove(best)
        chosen.append(best)
    return [int(labels[place]) for place in chosen], np.minimum.accumulate(scores[chosen]) if chosen else []


@given(
    seed=st.integers(0, 10_000),
    most=st.integers(0, 2),
    diversity=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    k=st.integers(1, 6),
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_lists_are_those_of_choosing_one_label_after_the_other(seed, most, diversity, k):
    random = np.random.default_rng(seed)
    titles = normalise_rows(sp.csr_matrix(random.random((LABELS, 6)) * (random.random((LABELS, 6)) < 0.5)))
    titles = sp.csr_matrix(titles, dtype=np.float32)
    category = random.integers(-1, 3, LABELS).astype(np.int32)
    ranked, rules = ranked_lists(random, 5, 9), ListRules(k, most, diversity)
    labels, scores = select(ranked, titles, category, rules)
    for row in range(5):
        expected, falling = reference(ranked[0][row], ranked[1][row], titles.toarray(), category, rules)
        assert labels[row].tolist() == expected + [PAD] * (k - len(expected))
        assert scores[row, : len(expected)] == pytest.approx(falling)


def test_without_rules_the_ranking_stays_as_it_is():
    random = np.random.default_rng(0)
    ranked = ranked_lists(random, 5, 9)
    labels, scores = select(
        ranked, sp.csr_matrix((LABELS, 3), dtype=np.float32), np.zeros(LABELS, np.int32), ListRules(4)
    )
    assert np.array_equal(labels, ranked[0][:, :4]) and np.array_equal(scores, ranked[1][:, :4])


def test_of_two_that_are_the_same_one_is_enough():
    titles = sp.csr_matrix(np.array([[1, 0], [1, 0], [0, 1]], np.float32))
    ranked = np.array([[0, 1, 2]], np.int32), np.array([[0.9, 0.8, 0.2]], np.float32)
    labels, scores = select(ranked, titles, np.full(3, -1, np.int32), ListRules(3, diversity=0.5))
    assert labels.tolist() == [[0, 2, 1]]
    assert scores[0] == pytest.approx([0.9, 0.2, 0.2]), "a score never rises again"
