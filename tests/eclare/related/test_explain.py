"""Why a pair is recommended, against counting by hand and the network itself."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.arrays.topk import PAD
from eclare.ranker import Ranker
from eclare.related import explain
from eclare.related.backtest import ranker_from
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.diversify import diversify
from eclare.related.explain import NEIGHBOURS, Reasons, reasons_of, score_parts
from eclare.related.features import NAMES, SCORE_PARTS, CandidateSet
from eclare.related.list_rules import Catalogue, ListRules
from eclare.related.ranking import Ranked, rank
from eclare.related.variants import Variants
from tests.eclare.related.trained_shops import CONFIG, snapshot_of
from tests.made_shops import sessions_of_groups

SHOP = sessions_of_groups(groups=6, products_per_group=8, days=60)
QUICK = replace(CONFIG, epochs=2, surrogate_epochs=2)
EVERYTHING = np.arange(len(SHOP.cooccurrence), dtype=np.int32)


def ranker_of(kind: str) -> Ranker:
    if kind == "fixed":
        return ranker_from([], "basket", seed=0)
    torch.manual_seed(0)
    return Ranker(NAMES, torch.zeros(len(NAMES)), torch.full((len(NAMES),), 3.0))


def all_of(chunks: Iterator[Reasons]) -> Reasons:
    found = [vars(chunk) for chunk in chunks]
    return Reasons(**{
        name: first if name == "views" else np.concatenate([each[name] for each in found])
        for name, first in found[0].items()
    })  # fmt: skip


@pytest.fixture(scope="module", params=["faiss", "clusters"])
def of_either(request):
    return snapshot_of(SHOP.cooccurrence, SHOP.titles, config=replace(QUICK, shortlister=request.param))


@pytest.fixture(scope="module")
def snapshot():
    return snapshot_of(SHOP.cooccurrence, SHOP.titles, config=QUICK)


@pytest.mark.parametrize("weights", ["learnt", "fixed"])
@pytest.mark.parametrize("rules", [ListRules(5), ListRules(8, 2, 0.8)])  # 8 of 6 groups: some come out of turn
def test_the_parts_of_a_score_sum_to_what_is_published(of_either, weights, rules):
    ranker = ranker_of(weights)
    ranked = rank(of_either, ranker, EVERYTHING, rules.candidates)
    variants, sessions = Variants(EVERYTHING, EVERYTHING), of_either.cooccurrence.popularity()
    catalogue = Catalogue(of_either.titles_PV, EVERYTHING % 8, of_either.allowed_P, variants, sessions)
    labels, scores = diversify(ranked.labels_QK, ranked.scores_QK, catalogue, rules)
    published = CandidateSet(of_either, EVERYTHING, labels, ranked.log_partition_Q)
    parts = score_parts(published, ranker, ranked, scores)
    there = labels != PAD
    assert there.any()
    assert np.nansum(parts, axis=-1)[there] == pytest.approx(scores[there], abs=1e-4)
    assert np.isnan(parts[~there]).all()
    assert not np.isnan(parts[there]).any()
    assert parts[there][:, SCORE_PARTS.index("rules")].any() == (rules.diversity > 0)
    assert parts[there][:, SCORE_PARTS.index("base")].any() == (weights == "learnt")


def test_a_label_that_was_not_ranked_has_no_parts(snapshot):
    ranker = ranker_of("learnt")
    ranked = rank(snapshot, ranker, EVERYTHING, 3)
    foreign = np.array([np.setdiff1d(EVERYTHING, row)[:2] for row in ranked.labels_QK], np.int32)
    published = CandidateSet(snapshot, EVERYTHING, foreign, ranked.log_partition_Q)
    assert np.isnan(score_parts(published, ranker, ranked, np.zeros(foreign.shape, np.float32))).all()


def test_reasons_are_those_of_looking_one_pair_up_after_the_other(snapshot, monkeypatch):
    monkeypatch.setattr(explain, "CHUNK", 20)
    ranker = ranker_of("learnt")
    best = rank(snapshot, ranker, EVERYTHING, 3)
    labels = best.labels_QK.copy()
    labels[4, 1:] = PAD
    ranked = best.labels_QK[:, :2]  # as if the third came from elsewhere
    first_two = Ranked(ranked, best.scores_QK[:, :2], best.log_partition_Q)
    reasons = all_of(reasons_of(snapshot, ranker, first_two, labels, best.scores_QK))
    assert [(q, label) for q, label in zip(reasons.queries_E.tolist(), reasons.labels_E.tolist(), strict=True)] == [
        (query, int(label)) for query in EVERYTHING.tolist() for label in labels[query] if label != PAD
    ]
    keys, ages, counts = (getattr(SHOP.cooccurrence.counts, f"{name}_E") for name in ("key", "age", "count"))
    edges = snapshot.ensemble.texts.edges_LL.toarray()
    np.fill_diagonal(edges, 0)
    for place in range(len(reasons)):
        query, label = reasons.queries_E[place], reasons.labels_E[place]
        of_pair = keys == query * len(SHOP.cooccurrence) + label
        assert reasons.sessions_E[place] == counts[of_pair].sum()
        assert reasons.age_E[place] == (ages[of_pair].min() if of_pair.any() else -1)
        assert reasons.attention_EZ[place].sum() == pytest.approx(1, abs=1e-5)
        heaviest = np.sort(edges[label])[::-1][:NEIGHBOURS]
        assert reasons.edges_EM[place] == pytest.approx(heaviest)
        near = reasons.neighbours_EM[place]
        assert edges[label, near[near != PAD]] == pytest.approx(heaviest[heaviest > 0])
        was_ranked = label in ranked[query]
        assert np.isnan(reasons.parts_EG[place]).all() == (not was_ranked)


def test_nothing_is_explained_where_no_rank_shall_be(snapshot):
    ranker = ranker_of("fixed")
    ranked = rank(snapshot, ranker, EVERYTHING, 5)
    assert len(all_of(reasons_of(snapshot, ranker, ranked, ranked.labels_QK[:, :0], ranked.scores_QK[:, :0]))) == 0


def test_pairs_of_no_session_have_no_last_day(snapshot):
    nothing = Cooccurrence.of_sessions(sp.csr_matrix((0, len(EVERYTHING)), dtype=np.float32), np.zeros(0, int))
    unseen, ranker = replace(snapshot, cooccurrence=nothing), ranker_of("fixed")
    ranked = rank(unseen, ranker, EVERYTHING, 1)
    reasons = all_of(reasons_of(unseen, ranker, ranked, ranked.labels_QK, ranked.scores_QK))
    assert not reasons.sessions_E.any() and (reasons.age_E == -1).all()
