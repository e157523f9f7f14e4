"""Figures and intervals clustered by session, beside a truth that is rebuilt from the sessions without each group."""

from math import log1p, log2

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eclare.arrays.topk import PAD
from eclare.evaluation.bootstrap import Resampled
from eclare.evaluation.held_out import HeldOut, Key
from eclare.evaluation.metrics import SEGMENTS, inverse_propensities, point_metrics, segments
from eclare.evaluation.session_groups import SessionGroups
from tests.made_sessions import groups_of

PRODUCTS, GROUPS, K = 12, 5, 4
KNOWN_P = np.array([0, 0, 1, 4, 5, 19, 20, 300, 0, 2, 7, 1000.0])
HISTORY = {"no session": 0, "1 to 4 sessions": 1, "5 to 19 sessions": 5, "20 sessions and more": 20}
KS = (1, K)


def figures_slowly(held_SP, labels, queries, training_PP, min_support) -> dict[tuple[str, int, str], float]:
    """Count sessions one by one, then every figure as it is defined."""
    sessions = [set(np.flatnonzero(held)) for held in held_SP]
    weight, segment = inverse_propensities(training_PP), segments(training_PP)
    rows, histories = [], []
    for place, query in enumerate(queries):
        shared = {p: sum({query, p} <= each for each in sessions) for p in range(PRODUCTS) if p != query}
        true = {p for p, count in shared.items() if count >= min_support}
        chance = {p: sum(query in s for s in sessions) * sum(p in s for s in sessions) / len(sessions) for p in true}
        gain = {p: log1p(shared[p] / max(chance[p], 1 / len(sessions))) for p in true if shared[p] >= 2}
        gain = {p: each for p, each in gain.items() if shared[p] >= max(chance[p], 1 / len(sessions))}
        if true:
            rows.append(([p for p in labels[place] if p != PAD], true, gain))
            histories.append([name for name, least in HISTORY.items() if KNOWN_P[query] >= least][-1])
    found: dict[tuple[str, int, str], float] = {}
    for k in KS if rows else ():
        hits = [[p in true for p in shown[:k]] for shown, true, _ in rows]
        found["P", k, "all"] = np.mean([sum(each) / k for each in hits])
        found["recall", k, "all"] = np.mean([sum(e) / len(true) for e, (_, true, _) in zip(hits, rows, strict=True)])
        earned = sum(weight[p] for shown, true, _ in rows for p in shown[:k] if p in true)
        best = sum(sum(sorted((weight[p] for p in true), reverse=True)[:k]) for _, true, _ in rows)
        found["PSP", k, "all"] = earned / best
        best = [discounted([1] * min(k, len(true))) for _, true, _ in rows]
        found["nDCG", k, "all"] = np.mean([discounted(each) / of for each, of in zip(hits, best, strict=True)])
        lifts = [
            discounted([gain.get(p, 0) for p in shown[:k]]) / discounted(sorted(gain.values(), reverse=True)[:k])
            if gain else 0 for shown, _, gain in rows
        ]  # fmt: skip
        found["lift", k, "all"] = np.mean(lifts)
    for history in set(histories):
        of_history = [place for place, each in enumerate(histories) if each == history]
        found["P", K, history] = np.mean([sum(hits[place]) / K for place in of_history])
        found["lift", K, history] = np.mean([lifts[place] for place in of_history])
    for place, name in enumerate(SEGMENTS):
        of_segment = [(shown, {p for p in true if segment[p] == place}) for shown, true, _ in rows]
        shares = [len(true & set(shown[:K])) / len(true) for shown, true in of_segment if true]
        if shares:
            found["recall", K, name] = np.mean(shares)
    return found


def discounted(gains) -> float:
    return sum(gain / log2(place + 2) for place, gain in enumerate(gains))


@given(seed=st.integers(0, 10_000), min_support=st.integers(1, 3))
@settings(max_examples=25)
def test_figures_and_errors_are_those_of_a_truth_rebuilt_without_each_group(seed, min_support):
    random = np.random.default_rng(seed)
    held_SP = random.random((40, PRODUCTS)) < random.uniform(0.05, 0.5, PRODUCTS)
    group_S, training_PP = random.integers(GROUPS, size=40), sp.csr_matrix(random.random((PRODUCTS, PRODUCTS)) < 0.3)
    held_out = HeldOut(groups_of(held_SP, group_S, min_support, GROUPS), training_PP, KS, KNOWN_P)
    assume(len(held_out.queries) and len(np.unique(group_S)) == GROUPS)
    lists = {name: np.array([random.permutation(PRODUCTS)[:K] for _ in held_out.queries]) for name in ("a", "b")}
    lists["b"][:, -1] = PAD
    judged = held_out.judge(lists)
    without = {
        name: [
            figures_slowly(held_SP[group_S != group], labels, held_out.queries, training_PP, min_support)
            for group in range(GROUPS)
        ]
        for name, labels in lists.items()
    }
    for name, labels in lists.items():
        expected = figures_slowly(held_SP, labels, held_out.queries, training_PP, min_support)
        assert {key[1:] for key in judged.names if key.system == name} == expected.keys()
        for key, value in expected.items():
            found = judged.estimate(Key(name, *key))
            assert found.value == pytest.approx(value)
            error = np.sqrt((GROUPS - 1) * np.var([each.get(key, 0) for each in without[name]]))
            half = 2.7764451051977987 * error  # Student's t, 4 degrees of freedom
            assert (found.low, found.high) == pytest.approx((max(value - half, 0), min(value + half, 1)), abs=1e-6)
    key = ("P", K, "all")
    ratio_G = [
        a[key] / b[key] if b.get(key) else 1 for a, b in zip(without["a"], without["b"], strict=True) if key in a
    ]
    if len(ratio_G) == GROUPS:
        ratio = judged.ratio(Key("a", *key), Key("b", *key))
        assert ratio.high - ratio.value == pytest.approx(2.7764451051977987 * np.sqrt((GROUPS - 1) * np.var(ratio_G)))


def shoppers(sessions: int, seed: int) -> np.ndarray:
    """Sessions of a dozen of 60 products, some of which sell more: each is drawn alone, by chance."""
    random = np.random.default_rng(seed)
    return random.random((sessions, 60)) < np.linspace(0.02, 0.4, 60)


def judged_by(held_SP, seed: int, groups: int = 20):
    """One list of best sellers and one of any products, for all; the truth of all sessions; and by group."""
    group_S = np.random.default_rng(seed).integers(groups, size=len(held_SP))
    held_out = HeldOut(groups_of(held_SP, group_S, 2, groups), sp.csr_matrix(np.ones((60, 60))), (5,), np.full(60, 7.0))
    lists = {"best": np.tile(np.arange(55, 60), (60, 1)), "any": np.tile(np.arange(0, 60, 12), (60, 1))}
    return held_out.judge({name: each[held_out.queries].astype(np.int32) for name, each in lists.items()})


def test_in_a_world_of_chance_intervals_hold_the_expected_figure_about_as_often_as_they_say():
    worlds, key = 100, ("nDCG", 5, "all")
    judged = [judged_by(shoppers(120, seed), seed) for seed in range(worlds)]
    found = [
        [each.estimate(Key("best", *key)) for each in judged],
        [each.estimate(Key("any", *key)) for each in judged],
        [each.ratio(Key("any", *key), Key("best", *key)) for each in judged],
    ]
    for estimates in found:
        expected = np.mean([each.value for each in estimates])
        held = np.mean([each.low <= expected <= each.high for each in estimates])
        spread = np.std([each.value for each in estimates])
        half = np.mean([(each.high - each.low) / 2 for each in estimates])
        assert 0.9 <= held <= 1, held
        assert 0.8 <= half / (2.093 * spread) <= 1.6, "Student's t, 19 degrees of freedom"


def test_intervals_are_wider_than_those_over_queries_where_sessions_are_long():
    """A basket of all five that are shown makes them right for every product in it, which queries alone do not tell."""
    random, shown = np.random.default_rng(3), np.isin(np.arange(60), np.arange(0, 60, 12))
    held_SP = (random.random((60, 60)) < 0.15) | ((random.random((60, 1)) < 0.15) & shown)
    group_S = np.arange(60) % 20
    held_out = HeldOut(groups_of(held_SP, group_S, 2, 20), sp.csr_matrix(np.ones((60, 60))), (5,), np.full(60, 7.0))
    lists = np.tile(np.arange(0, 60, 12, dtype=np.int32), (60, 1))[held_out.queries]
    by_session = held_out.judge({"any": lists}).estimate(Key("any", "P", 5, "all"))
    truth = groups_of(held_SP, group_S, 2, 20).all.shared_PP[held_out.queries]
    by_query = Resampled({"any": point_metrics(lists, truth, np.ones(60), [5])[0]}).estimate("any")
    assert by_session.value == pytest.approx(by_query.value)
    assert by_session.high - by_session.low > 1.5 * (by_query.high - by_query.low)


def test_groups_come_back_as_they_were_saved(tmp_path):
    random = np.random.default_rng(0)
    groups = groups_of(random.random((30, 9)) < 0.3, random.integers(4, size=30), 2, 4)
    groups.save(tmp_path)
    loaded = SessionGroups.load(tmp_path)
    assert repr(loaded) == repr(groups)
    for place in range(4):
        one, other = groups.without(place), loaded.without(place)
        assert (one.shared_PP != other.shared_PP).nnz == 0 and (one.sessions_P == other.sessions_P).all()
        assert one.sessions == other.sessions
    with pytest.raises(ValueError, match=r"session_groups\.npz.*of older code: run build_interactions"):
        SessionGroups.load(tmp_path / "nowhere")


def test_among_some_queries_they_alone_are_judged():
    held_SP, random = shoppers(120, 1), np.random.default_rng(1)
    held_out = HeldOut(
        groups_of(held_SP, np.arange(120) % 20, 2, 20), sp.csr_matrix(np.ones((60, 60))), (5,), np.full(60, 7.0)
    )
    fewer = held_out.among(np.array([59, 58, 40, 7, 10_000], np.int32))
    assert fewer.queries.tolist() == [query for query in held_out.queries.tolist() if query in (7, 40, 58, 59)]
    lists = {"any": random.integers(60, size=(len(fewer.queries), 5)).astype(np.int32)}
    truth = groups_of(held_SP, np.arange(120) % 20, 2, 20).all.shared_PP[fewer.queries]
    expected = point_metrics(lists["any"], truth, np.ones(60), [5])[0].value
    assert fewer.judge(lists).estimate(Key("any", "P", 5, "all")).value == pytest.approx(expected)
