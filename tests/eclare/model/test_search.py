"""Both ways of searching against sorting every score."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.arrays.tfidf import Vocabulary
from eclare.arrays.topk import PAD
from eclare.model import search
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import build_label_graph
from eclare.model.search import beam_search, probabilities, search_classifiers
from eclare.model.stages import train
from tests.made_shops import Shop, shop_of_groups

PLAIN = ECLAREConfig(embedding_dim=16, epochs=2, batch_size=32, negatives_per_batch=32)
PAPER = replace(ECLAREConfig.preset("paper-131k"), embedding_dim=16, beam=4, epochs=2, surrogate_epochs=2, ensemble=2)
OWN = np.arange(96, dtype=np.int32)


def learnt(shop: Shop, config: ECLAREConfig) -> Ensemble:
    features = Vocabulary.of(shop.titles).features(shop.titles)
    clicks = shop.clicks.weights_NL
    texts = Texts.of(features, features, build_label_graph(clicks, config))
    return train(clicks, texts, config, torch.device("cpu"))


@pytest.fixture(scope="module")
def over_all() -> Ensemble:
    return learnt(shop_of_groups(), PLAIN)


@pytest.fixture(scope="module")
def over_clusters() -> Ensemble:
    return learnt(shop_of_groups(), PAPER)


def slowly(scores_NL: np.ndarray, k: int, allowed_L: np.ndarray, own_N: np.ndarray) -> np.ndarray:
    """The k highest scores of allowed labels that are not the point itself; -inf: no label."""
    scores_NL = np.where(allowed_L, scores_NL, -np.inf)
    scores_NL[np.arange(len(own_N)), own_N] = -np.inf
    return -np.sort(-scores_NL, axis=1)[:, :k]


@pytest.mark.parametrize("chunk", [7, 8192])
def test_classifiers_are_searched_for_the_best_scores_of_allowed_labels(over_all, monkeypatch, chunk) -> None:
    monkeypatch.setattr(search, "CHUNK", chunk)
    allowed, points = OWN % 5 != 0, over_all.texts.labels_LV
    labels, scores = search_classifiers(over_all, points, 7, allowed, OWN)
    every = over_all.encode(points) @ over_all.classifiers_LD.T
    assert np.allclose(scores, slowly(every, 7, allowed, OWN), atol=1e-5)
    assert np.allclose(scores, np.take_along_axis(every, labels, axis=1), atol=1e-5)
    assert allowed[labels].all() and (labels != OWN[:, None]).all()


@pytest.mark.parametrize("chunk", [7, 8192])
def test_clusters_are_searched_for_the_likeliest_allowed_labels(over_clusters, monkeypatch, chunk) -> None:
    monkeypatch.setattr(search, "CHUNK", chunk)
    allowed, points = OWN % 5 != 0, over_clusters.texts.labels_LV
    labels, scores = beam_search(over_clusters, points, 7, allowed, OWN)
    found = probabilities(over_clusters, points).toarray()
    right = slowly(np.where(found > 0, found, -np.inf), 7, allowed, OWN)
    assert np.allclose(scores, np.where(np.isfinite(right), right, 0))
    known = labels != PAD
    assert (known == np.isfinite(right)).all() and known.any()
    assert np.allclose(scores[known], np.take_along_axis(found, labels, axis=1)[known])
    assert allowed[labels[known]].all() and (labels != OWN[:, None]).all()


def test_without_an_own_label_a_point_may_find_itself(over_all) -> None:
    everything, points = np.ones(96, bool), over_all.texts.labels_LV
    labels, scores = search_classifiers(over_all, points, 96, everything)
    assert (np.sort(labels, axis=1) == OWN).all()
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("way", [search_classifiers, beam_search])
def test_rows_end_with_pad_where_too_few_labels_are_allowed(over_clusters, way) -> None:
    allowed = OWN < 3
    labels, scores = way(over_clusters, over_clusters.texts.labels_LV, 5, allowed, OWN)
    found = [sorted(row[row != PAD].tolist()) for row in labels]
    assert all(set(row) <= {0, 1, 2} - {point} for point, row in enumerate(found))
    assert found[:3] == [[1, 2], [0, 2], [0, 1]]
    assert (scores[labels == PAD] == 0).all() and (labels[:, 3:] == PAD).all()


def test_a_beam_needs_clusters(over_all) -> None:
    with pytest.raises(ValueError, match="needs a model trained with shortlister 'clusters', this one has 'faiss'"):
        beam_search(over_all, sp.csr_matrix(over_all.texts.labels_LV[:1]), 3, np.ones(96, bool))
