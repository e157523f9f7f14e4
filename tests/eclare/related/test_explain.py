"""Why a pair is recommended, against counting by hand and the network itself."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.arrays.tfidf import Vocabulary
from eclare.arrays.topk import PAD
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import train
from eclare.ranker import Ranker
from eclare.related.answers import Answers
from eclare.related.backtest import Ranked
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.explain import NEIGHBOURS, reasons_of
from eclare.related.features import NAMES
from eclare.related.rerank import ListRules, select
from eclare.related.score_parts import PARTS, score_parts
from eclare.xc.co_clicks import CoClickScores
from tests.made_shops import sessions_of_groups

SHOP = sessions_of_groups(groups=6, products_per_group=8, days=60)
TITLES = Vocabulary.of(SHOP.titles).features(SHOP.titles)
CLICKS = SHOP.pairs.together()
CONFIG = ECLAREConfig(embedding_dim=16, epochs=2, batch_size=32)
EVERYTHING = np.arange(SHOP.pairs.products, dtype=np.int32)


def trained(config):
    texts = Texts.of(TITLES, TITLES, build_label_graph(CLICKS, config))
    return train(CLICKS, texts, config, torch.device("cpu"))


@pytest.fixture(scope="module")
def ensemble():
    return trained(CONFIG)


def answers_of(ensemble, *, learnt: bool) -> Answers:
    known = ensemble, TITLES, SHOP.pairs, np.ones(SHOP.pairs.products, bool)
    if not learnt:
        return Answers(*known, evidence=CoClickScores.of_products(CLICKS, TITLES))
    torch.manual_seed(0)
    return Answers(*known, fusion=Ranker(torch.zeros(len(NAMES)), torch.full((len(NAMES),), 3.0)))


@pytest.fixture(scope="module")
def over_clusters():
    return trained(replace(CONFIG, shortlister="clusters", evidence_weight=0, held_back_share=0))


@pytest.mark.parametrize("kind", ["learnt", "sum", "clusters"])
@pytest.mark.parametrize("rules", [ListRules(5), ListRules(5, 2, 0.8)])
def test_the_parts_of_a_score_sum_to_what_is_published(ensemble, over_clusters, kind, rules):
    answers = answers_of(over_clusters if kind == "clusters" else ensemble, learnt=kind == "learnt")
    ranked = answers.best(EVERYTHING, rules.candidates)
    labels, scores = select((ranked.labels_QK, ranked.scores_QK), TITLES, EVERYTHING % 8, rules)
    parts = score_parts(answers, ranked, labels, scores)
    there = labels != PAD
    assert there.any()
    assert np.nansum(parts, axis=-1)[there] == pytest.approx(scores[there], abs=1e-4)
    assert np.isnan(parts[~there]).all()
    assert np.isnan(parts[there][:, PARTS.index("popularity")]).all() == (kind != "learnt")
    assert parts[there][:, PARTS.index("rules")].any() == (rules.diversity > 0)


def test_a_label_that_was_not_ranked_has_no_parts(ensemble):
    answers = answers_of(ensemble, learnt=True)
    ranked = answers.best(EVERYTHING, 3)
    foreign = np.array([np.setdiff1d(EVERYTHING, row)[:2] for row in ranked.labels_QK], np.int32)
    assert np.isnan(score_parts(answers, ranked, foreign, np.zeros(foreign.shape, np.float32))).all()


def test_what_a_group_of_signals_adds_is_its_mean_worth_over_all_orders():
    random = np.random.default_rng(0)
    torch.manual_seed(1)
    mean, deviation = torch.randn(6), torch.rand(6) + 0.5
    groups = [[0, 3], [1], [2, 5], [4]]
    fusion, signals = Ranker(mean, deviation), random.normal(size=(5, 6)).astype(np.float32) * 4
    found = fusion.parts(signals, groups)
    slowly = np.zeros((5, 4))
    for order in (orders := list(permutations(range(4)))):
        known = np.tile(mean.numpy(), (5, 1))
        for group in order:
            before = fusion.scores(known)
            known[:, groups[group]] = signals[:, groups[group]]
            slowly[:, group] += (fusion.scores(known) - before) / len(orders)
    assert found[:, :-1] == pytest.approx(slowly, abs=1e-4)
    assert found[:, -1] == pytest.approx(np.full(5, fusion.scores(mean.numpy())), abs=1e-5)


def test_reasons_are_those_of_looking_one_pair_up_after_the_other(ensemble):
    answers = answers_of(ensemble, learnt=True)
    best = answers.best(EVERYTHING, 3)
    labels = best.labels_QK.copy()
    labels[4, 1:] = PAD
    ranked = best.labels_QK[:, :2]  # as if the third came from elsewhere
    reasons = reasons_of(answers, Ranked(ranked, best.scores_QK[:, :2], best.log_partition_Q), labels, best.scores_QK)
    assert [(q, label) for q, label in zip(reasons.queries_E.tolist(), reasons.labels_E.tolist(), strict=True)] == [
        (query, int(label)) for query in EVERYTHING.tolist() for label in labels[query] if label != PAD
    ]
    keys, ages, counts = (getattr(SHOP.pairs.pairs, f"{name}_E") for name in ("key", "age", "count"))
    edges = ensemble.members[0].classifier.texts.edges_LL.toarray()
    np.fill_diagonal(edges, 0)
    for place in range(len(reasons)):
        query, label = reasons.queries_E[place], reasons.labels_E[place]
        of_pair = keys == query * SHOP.pairs.products + label
        assert reasons.sessions_E[place] == counts[of_pair].sum()
        assert reasons.age_E[place] == (ages[of_pair].min() if of_pair.any() else -1)
        assert reasons.attention_EZ[place].sum() == pytest.approx(1, abs=1e-5)
        heaviest = np.sort(edges[label])[::-1][:NEIGHBOURS]
        assert reasons.edges_EM[place] == pytest.approx(heaviest)
        near = reasons.neighbours_EM[place]
        assert edges[label, near[near != PAD]] == pytest.approx(heaviest[heaviest > 0])
        was_ranked = label in ranked[query]
        assert np.isnan(reasons.parts_EG[place]).all() == (not was_ranked)


@pytest.mark.parametrize("learnt", [True, False])
def test_nothing_is_explained_where_no_rank_shall_be(ensemble, learnt):
    answers = answers_of(ensemble, learnt=learnt)
    ranked = answers.best(EVERYTHING, 5)
    assert len(reasons_of(answers, ranked, ranked.labels_QK[:, :0], ranked.scores_QK[:, :0])) == 0


def test_pairs_of_no_session_have_no_last_day(ensemble):
    nobody = Cooccurrence.of_sessions(sp.csr_matrix((0, SHOP.pairs.products), dtype=np.float32), np.zeros(0, int))
    answers = Answers(
        ensemble, TITLES, nobody, np.ones(len(EVERYTHING), bool), evidence=CoClickScores.of_products(CLICKS, TITLES)
    )
    ranked = answers.best(EVERYTHING, 1)
    reasons = reasons_of(answers, ranked, ranked.labels_QK, ranked.scores_QK)
    assert not reasons.sessions_E.any() and (reasons.age_E == -1).all()
