from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.arrays.topk import PAD
from eclare.ranker import Ranker
from eclare.related.backtest import ranker_from
from eclare.related.candidates import by_like_sentences, candidates_of
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import GROUPS, NAMES, WITH_SENTENCES, CandidateSet, groups_of
from eclare.related.like_sentences import ProductSentences
from eclare.related.ranking import rank
from tests.eclare.related.test_backtest import examples_where
from tests.eclare.related.trained_shops import snapshot_of

CPU = torch.device("cpu")


def vectors_of(products: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(products, 4)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_like_products_are_the_nearest_of_those_with_a_pair() -> None:
    vectors, paired = vectors_of(40), np.arange(40) % 3 > 0
    like = ProductSentences.of(vectors, paired, CPU).like_PP.toarray()
    cosines = vectors @ vectors.T * (1 - np.eye(40)) * paired
    kept = np.where(cosines >= -np.sort(-cosines, axis=1)[:, 19:20], cosines, 0)
    assert np.allclose(like, np.where(kept >= 0.4, kept, 0) ** 8, atol=1e-4)
    assert not ProductSentences.of(vectors, np.zeros(40, bool), CPU).like_PP.nnz


@pytest.fixture(scope="module")
def snapshot():
    chosen = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0]], np.float32)
    known = Cooccurrence.of_sessions(sp.csr_matrix(chosen), np.array([0, 30, 60]))
    return snapshot_of(known, ["red mug", "blue mug", "red mug large", "pot"])


def test_features_of_sentences_are_what_their_names_say(snapshot) -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    seen = replace(snapshot, sentences=ProductSentences.of(vectors, np.array([True, True, True, False]), CPU))
    queries = np.array([3], np.int32)  # of no session; its words are in no other title
    assert set(by_like_sentences(seen, queries).ravel().tolist()) <= {PAD, 0, 1, 2}
    products = candidates_of(seen, queries)
    features = dict(
        zip(WITH_SENTENCES, np.moveaxis(CandidateSet(seen, queries, products).features_QCF, 2, 0), strict=True)
    )
    cosines = vectors @ vectors.T
    like = np.where(cosines >= 0.4, cosines, 0) ** 8 * (1 - np.eye(4)) * [1, 1, 1, 0]
    together = seen.shared_PP.toarray()
    assert features["sentence cosine"] == pytest.approx(cosines[3][products], abs=1e-6)
    for name, expected in {
        "co-occurrence of like sentences": like @ together,
        "co-occurrence with like sentences": together @ like.T,
    }.items():
        assert features[name] == pytest.approx(np.log(expected[3][products] + 0.1), abs=1e-4), name
    ranker = Ranker.linear(WITH_SENTENCES, {"sentence cosine": 1.0}, {})
    assert rank(seen, ranker, queries, 1).labels_QK.tolist() == [[1]]
    with pytest.raises(ValueError, match="the snapshot has none"):
        CandidateSet(snapshot, queries, products).sentences  # noqa: B018


def test_every_feature_of_sentences_is_in_a_group_that_there_is() -> None:
    groups = groups_of(WITH_SENTENCES)
    assert groups.keys() == GROUPS.keys()
    assert sorted(place for places in groups.values() for place in places) == list(range(len(WITH_SENTENCES)))
    assert all(set(GROUPS[group]) <= set(groups[group]) for group in GROUPS)


@pytest.mark.parametrize("tells", [True, False])
def test_a_night_keeps_the_encoder_where_past_nights_say_that_it_helps(tells) -> None:
    random = np.random.default_rng(0)
    past = []
    for made in (examples_where("co-occurrence", 300, seed) for seed in range(2)):
        extra = random.normal(size=(*made.relevance_QC.shape, len(WITH_SENTENCES) - len(NAMES))).astype(np.float32)
        if tells:
            extra[..., -1] = made.relevance_QC + 0.1 * extra[..., -1]
        past.append(type(made)(np.concatenate([made.features_QCF, extra], axis=2), made.relevance_QC, made.mask_QC))
    ranker = ranker_from(past, "related", seed=0)
    assert ranker.features == (WITH_SENTENCES if tells else NAMES)
