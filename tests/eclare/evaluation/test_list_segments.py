"""Figures of the pages by segment, against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.arrays.topk import PAD
from eclare.evaluation.list_segments import (
    FILE,
    HISTORY,
    NO_CATEGORY,
    NONE,
    OTHER_CATEGORIES,
    PageFigures,
    Segmentation,
    by_category,
    by_first_source,
    by_history,
    by_popularity,
    segment_figures,
)
from eclare.evaluation.lists import list_figures
from tests.eclare.evaluation.test_lists import LABELS, made_lists


def figures_slowly(lists: list[list[int]], popularity: np.ndarray) -> dict[str, float]:
    with_label = [listed for listed in lists if listed]
    firsts = [listed[:10] for listed in with_label]
    places = [label for first in firsts for label in first]
    ranked = sorted(range(LABELS), key=lambda label: (-popularity[label], label))
    best = set(ranked[: int(np.ceil((popularity > 0).sum() / 10))])
    return {
        "queries": len(lists),
        "lists": len(with_label),
        "length": sum(map(len, with_label)) / max(len(with_label), 1),
        "different": len(set(places)),
        "most_shown": max((places.count(label) for label in places), default=0) / max(len(with_label), 1),
        "beyond_best_sellers": sum(label not in best for label in places) / max(len(places), 1),
    }


@given(seed=st.integers(0, 10_000), k=st.integers(1, 14))
@hypothesis_settings(max_examples=60)
def test_each_segment_is_counted_alone_and_one_without_a_query_is_left_out(seed, k):
    random = np.random.default_rng(seed)
    labels, popularity = made_lists(random, 12, k), random.integers(0, 3, LABELS).astype(np.float32)
    place = random.integers(NONE, 3, 12)
    found = segment_figures(labels, popularity, [Segmentation("colour", ("red", "green", "blue", "grey"), place)])
    lists = [[label for label in row if label != PAD] for row in labels.tolist()]
    expected = {
        name: figures_slowly([lists[at] for at in np.flatnonzero(place == number)], popularity)
        for number, name in enumerate(("red", "green", "blue"))
        if (place == number).any()
    }
    assert [(each.by, each.segment) for each in found] == [("colour", name) for name in expected]
    for each in found:
        assert {name: getattr(each, name) for name in expected[each.segment]} == pytest.approx(expected[each.segment])


def test_histories_begin_where_their_names_say():
    found = by_history(np.array([0, 1, 4, 5, 19, 20, 900], np.float32))
    assert list(found.names) == list(HISTORY)
    assert found.place_N.tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_head_torso_and_tail_have_a_third_of_the_sessions_each():
    sessions = np.array([1, 0, 6, 2, 3, 6, 0], np.float32)  # 18: six, six, and the rest
    found = by_popularity(sessions)
    assert found.place_N.tolist() == [2, NONE, 0, 2, 2, 1, NONE]
    assert by_popularity(np.zeros(3)).place_N.tolist() == [NONE] * 3


def test_the_largest_categories_have_a_segment_each_and_the_others_share_one():
    names = [f"c{number:02d}" for number in range(12)]
    categories = [*names, *names[4:], None]
    found = by_category(categories)
    assert list(found.names) == [*names[4:], "c00", "c01", OTHER_CATEGORIES, NO_CATEGORY]
    for category, place in zip(categories, found.place_N, strict=True):
        expected = NO_CATEGORY if category is None else OTHER_CATEGORIES if category in ("c02", "c03") else category
        assert found.names[place] == expected
    assert by_category([None, "a"]).place_N.tolist() == [2, 0]


def test_a_list_is_of_the_source_of_its_first_label():
    labels = np.array([[3, 4], [PAD, PAD], [5, PAD]], np.int32)
    sources = np.array([[1, 0], [0, 0], [0, 1]], np.int8)
    found = by_first_source(labels, sources, ("model", "co-click"))
    assert found.place_N.tolist() == [1, NONE, 0]
    assert by_first_source(labels[:, :0], sources[:, :0], ("model",)).place_N.tolist() == [NONE] * 3


def page_figures(seed: int) -> PageFigures:
    labels, sessions = made_lists(np.random.default_rng(seed), LABELS, 4), np.arange(LABELS, dtype=np.float32)
    figures = list_figures(labels, sessions, np.ones(LABELS, bool), np.arange(LABELS))
    return PageFigures(figures, segment_figures(labels, sessions, [by_history(sessions), by_popularity(sessions)]))


def test_they_are_the_same_after_saving(tmp_path):
    figures = page_figures(2)
    figures.save(tmp_path)
    assert PageFigures.load(tmp_path) == figures
    assert len(figures.segments) == 7


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", '{"lists": 3}', '{"all": {}, "segments": []}', '{"all": {"other": 1}, "segments": [{"by": "x"}]}'],
)
def test_a_file_of_other_figures_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=r"lists\.json must hold the figures lists, with_session"):
        PageFigures.load(tmp_path)
