"""Figures of the pages, against counting by hand."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.arrays.topk import PAD
from eclare.evaluation.lists import list_figures, title_twice

LABELS = 30


def made_lists(random: np.random.Generator, lists: int, k: int) -> np.ndarray:
    labels = np.stack([random.permutation(LABELS)[:k] for _ in range(lists)]).astype(np.int32)
    for row, length in enumerate(random.integers(0, k + 1, lists)):
        labels[row, length:] = PAD
    return labels


def figures_slowly(labels, popularity, allowed, title):
    """What the first ten places of all lists that have some look like."""
    lists = [[label for label in row[:10] if label != PAD] for row in labels.tolist() if row[0] != PAD]
    shown = Counter(itertools.chain(*lists))
    places, with_session = sum(shown.values()), int((popularity > 0).sum())
    ranked = sorted(range(LABELS), key=lambda label: (-popularity[label], label))
    best = set(ranked[: int(np.ceil(with_session / 10))])
    counts = [shown[label] for label in range(LABELS) if allowed[label] or shown[label]]
    differences = sum(abs(one - other) for one in counts for other in counts)
    twice = 0
    for listed in lists:
        titles = [title[label] for label in listed if title[label] >= 0]
        twice += len(set(titles)) < len(titles)
    return {
        "lists": len(lists),
        "with_session": with_session,
        "different": len(shown),
        "most_shown": max(shown.values()) / len(lists),
        "ten_most_shown": sum(count for _, count in shown.most_common(10)) / places,
        "shown": len(shown) / with_session if with_session else 1,
        "gini": differences / (2 * len(counts) * places),
        "beyond_best_sellers": sum(shown[label] for label in shown if label not in best) / places,
        "title_twice": twice / len(lists),
    }


@given(seed=st.integers(0, 10_000), k=st.integers(1, 14))
@hypothesis_settings(max_examples=80)
def test_figures_are_those_of_counting(seed, k):
    random = np.random.default_rng(seed)
    labels = np.concatenate([made_lists(random, 12, k), [random.permutation(LABELS)[:k]]]).astype(np.int32)
    popularity, allowed = random.integers(0, 3, LABELS).astype(np.float32), random.random(LABELS) < 0.8
    title = random.integers(-1, 20, LABELS).astype(np.int32)
    figures = list_figures(labels, popularity, allowed, title)
    expected = figures_slowly(labels, popularity, allowed, title)
    assert {name: getattr(figures, name) for name in expected} == pytest.approx(expected)
    assert figures.title_twice == title_twice(labels, title)


def test_the_overlap_is_the_mean_over_all_pairs_and_the_same_again():
    labels = made_lists(np.random.default_rng(1), 40, 8)
    others = np.zeros(LABELS), np.ones(LABELS, bool), np.arange(LABELS)
    lists = [set(row[row != PAD].tolist()) for row in labels if row[0] != PAD]
    pairs = [len(one & other) / min(len(one), len(other)) for one, other in itertools.permutations(lists, 2)]
    figures = list_figures(labels, *others)
    assert figures.overlap == pytest.approx(np.mean(pairs), abs=0.02)
    assert list_figures(labels, *others) == figures
    assert list_figures(labels, *others, seed=1).overlap != figures.overlap


def test_one_list_for_everybody_and_one_product_for_each():
    everything = np.ones(LABELS), np.ones(LABELS, bool), np.arange(LABELS)
    same = list_figures(np.tile(np.arange(3, dtype=np.int32), (20, 1)), *everything)
    assert (same.most_shown, same.ten_most_shown, same.overlap, same.shown) == (1, 1, 1, 3 / LABELS)
    assert same.gini == pytest.approx(1 - 3 / LABELS)
    each = list_figures(np.arange(LABELS, dtype=np.int32)[:, None], *everything)
    assert (each.most_shown, each.gini, each.overlap, each.shown) == (1 / LABELS, 0, 0, 1)
    assert each.beyond_best_sellers == pytest.approx(0.9)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (3, 2), (1, 2)])
def test_nothing_shown_is_no_error(shape):
    nothing = np.full(shape, PAD, np.int32)
    figures = list_figures(nothing, np.zeros(LABELS), np.ones(LABELS, bool), np.arange(LABELS))
    assert (figures.lists, figures.different, figures.most_shown, figures.title_twice, figures.gini) == (0, 0, 0, 0, 0)
    assert figures.shown == 1, "where nothing has a session, there is nothing to fall behind"
