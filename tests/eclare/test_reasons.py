"""Why a pair is recommended, against counting by hand and the network itself."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.answers import PARTS, Answers
from eclare.config import ECLAREConfig
from eclare.dated_pairs import DatedPairs
from eclare.evidence import Evidence
from eclare.features import Vocabulary
from eclare.fusion import Fusion
from eclare.graph import build_label_graph
from eclare.reasons import NEIGHBOURS, reasons_of
from eclare.recommendations import NOTHING
from eclare.signals import NAMES
from eclare.stages import train
from eclare.synthetic import sessions_of_groups
from eclare.texts import Texts

SHOP = sessions_of_groups(groups=6, products_per_group=8, days=60)
TITLES = Vocabulary.of(SHOP.titles).features(SHOP.titles)
CLICKS = SHOP.pairs.together()
CONFIG = ECLAREConfig(embedding_dim=16, epochs=2, batch_size=32)
EVERYTHING = np.arange(SHOP.pairs.products, dtype=np.int32)


@pytest.fixture(scope="module")
def ensemble():
    texts = Texts.of(TITLES, TITLES, build_label_graph(CLICKS, CONFIG))
    return train(CLICKS, texts, CONFIG, torch.device("cpu"))


def answers_of(ensemble, *, learnt: bool) -> Answers:
    known = ensemble, TITLES, SHOP.pairs, np.ones(SHOP.pairs.products, bool)
    if not learnt:
        return Answers(*known, evidence=Evidence.of_products(CLICKS, TITLES))
    torch.manual_seed(0)
    return Answers(*known, fusion=Fusion(torch.zeros(len(NAMES)), torch.full((len(NAMES),), 3.0)))


@pytest.mark.parametrize("learnt", [True, False])
def test_the_parts_of_a_score_sum_to_it(ensemble, learnt):
    answers = answers_of(ensemble, learnt=learnt)
    labels, scores = answers.best(EVERYTHING, 5)
    parts = answers.parts(EVERYTHING, labels, 5)
    there = labels != NOTHING
    assert np.nansum(parts, axis=-1)[there] == pytest.approx(scores[there], abs=1e-4)
    assert np.isnan(parts[~there]).all()
    assert np.isnan(parts[there][:, PARTS.index("popularity")]).all() == (not learnt)


def test_what_a_signal_adds_is_its_share_of_the_way_from_the_mean():
    random = np.random.default_rng(0)
    torch.manual_seed(1)
    mean, deviation = torch.randn(4), torch.rand(4) + 0.5
    fusion, signals = Fusion(mean, deviation), random.normal(size=(3, 2, 4)).astype(np.float32) * 4
    added = fusion.attributions(signals)
    assert added.sum(axis=-1) == pytest.approx(
        fusion.scores(signals) - fusion.scores(np.float32(mean.numpy())), abs=5e-3
    )
    steps = 2_000
    for query, candidate in np.ndindex(3, 2):
        slowly = np.zeros(4)
        way = signals[query, candidate] - mean.numpy()
        for step in range(steps):
            place = torch.tensor(mean.numpy() + way * (step + 0.5) / steps, dtype=torch.float32, requires_grad=True)
            fusion(place).backward()
            slowly += way * place.grad.numpy() / steps
        assert added[query, candidate] == pytest.approx(slowly, abs=5e-3)


def test_reasons_are_those_of_looking_one_pair_up_after_the_other(ensemble):
    answers = answers_of(ensemble, learnt=True)
    labels = answers.best(EVERYTHING, 3)[0]
    labels[4, 1:] = NOTHING
    ranked = labels.copy()
    ranked[:, 2] = NOTHING  # as if they came from elsewhere
    reasons = reasons_of(answers, labels, ranked, 3)
    assert [(q, label) for q, label in zip(reasons.queries_E.tolist(), reasons.labels_E.tolist(), strict=True)] == [
        (query, int(label)) for query in EVERYTHING.tolist() for label in labels[query] if label != NOTHING
    ]
    keys, ages, counts = (getattr(SHOP.pairs.pairs, f"{name}_E") for name in ("key", "age", "count"))
    edges = ensemble.members[0].ranker.texts.edges_LL.toarray()
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
        assert edges[label, near[near != NOTHING]] == pytest.approx(heaviest[heaviest > 0])
        was_ranked = label in ranked[query]
        assert np.isnan(reasons.parts_EG[place]).all() == (not was_ranked)


def test_pairs_of_no_session_have_no_last_day(ensemble):
    nobody = DatedPairs.of_sessions(sp.csr_matrix((0, SHOP.pairs.products), dtype=np.float32), np.zeros(0, int))
    answers = Answers(
        ensemble, TITLES, nobody, np.ones(len(EVERYTHING), bool), evidence=Evidence.of_products(CLICKS, TITLES)
    )
    reasons = reasons_of(answers, answers.best(EVERYTHING, 1)[0], np.full((len(EVERYTHING), 1), NOTHING, np.int32), 1)
    assert not reasons.sessions_E.any() and (reasons.age_E == -1).all()
