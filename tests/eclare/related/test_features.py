import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from eclare.arrays.topk import PAD
from eclare.related.candidates import candidates_of
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import FEATURES, GROUPS, NAMES, SCORE_PARTS, CandidateSet
from eclare.related.item_embeddings import item_embeddings
from tests.eclare.related.trained_shops import snapshot_of

CHOSEN = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0]], np.float32)
QUERIES = np.array([0, 3], np.int32)


@pytest.fixture(scope="module")
def snapshot():
    cooccurrence = Cooccurrence.of_sessions(sp.csr_matrix(CHOSEN), np.array([0, 30, 60]))
    return snapshot_of(cooccurrence, ["red mug", "blue mug", "red mug large", "red mug"])


def test_every_feature_is_in_one_group_and_no_name_comes_twice() -> None:
    assert sorted(place for places in GROUPS.values() for place in places) == list(range(len(FEATURES)))
    assert len(set(NAMES)) == len(FEATURES)
    assert SCORE_PARTS == ("co_clicks", "popularity", "like_products", "titles", "model", "base", "rules")


def test_features_are_what_their_names_say(snapshot) -> None:
    products = candidates_of(snapshot, QUERIES)
    assert products.tolist() == [[1, 2, 3], [0, 1, 2]]
    candidates = CandidateSet(snapshot, QUERIES, products)
    seen = dict(zip(NAMES, np.moveaxis(candidates.features_QCF, 2, 0), strict=True))
    assert seen["co-occurrence, half-life 30 days"][0] == pytest.approx(np.log([1.5 + 0.1, 0.5 + 0.1, 0.1]))
    assert seen["popularity, half-life 30 days"][0] == pytest.approx(np.log([1.75 + 0.1, 0.75 + 0.1, 0.1]))
    shared, each = np.array([2.0, 1, 0]), np.array([3.0, 2, 0])  # of the first query, whole
    assert seen["co-occurrence"][0] == pytest.approx(np.log(shared + 0.1))
    assert seen["popularity"][0] == pytest.approx(np.log(each + 0.1))
    damped = shared / np.maximum(each, 1) ** 0.3
    assert seen["co-occurrence over popularity^0.3"][0] == pytest.approx(np.log(damped + 0.01))
    assert seen["trend"][0] == pytest.approx(np.log((np.array([1.75, 0.75, 0]) + 0.1) / (each + 0.1)), abs=1e-6)
    assert seen["popularity of the query"][0] == pytest.approx(np.log([2 + 0.1] * 3))
    assert seen["cosine of sessions"][0] == pytest.approx(np.log((shared + 0.02) / np.sqrt(2 * np.maximum(each, 0.02))))
    assert seen["chance after the query"][0] == pytest.approx(np.log((shared + 0.02) / 3))
    sure = np.maximum(shared - np.sqrt(shared), 0) + 0.02
    assert seen["least lift"][0] == pytest.approx(np.log(sure / (each + 1) / 3))
    together = CHOSEN.T @ CHOSEN
    np.fill_diagonal(together, 0)
    onwards = together / np.maximum(together.sum(axis=1, keepdims=True), 1e-9)
    assert seen["co-occurrence over two hops"][0] == pytest.approx(np.log((onwards @ onwards)[0, 1:] + 1e-4), rel=1e-4)
    cosine = (snapshot.titles_PV @ snapshot.titles_PV.T).toarray()
    like = np.where(cosine >= 0.4, np.minimum(cosine, 1), 0) ** 8 * (1 - np.eye(4))
    reached = {
        "co-occurrence of like queries": like @ together,
        "co-occurrence with like candidates": together @ like.T,
        "co-occurrence of both": like @ together @ like.T,
    }
    for name, expected in reached.items():
        rows = np.take_along_axis(expected[QUERIES], products, axis=1)
        assert seen[name] == pytest.approx(np.log(rows + 0.1), abs=1e-4), name
    assert seen["title cosine"] == pytest.approx(np.take_along_axis(cosine[QUERIES], products, axis=1), abs=1e-6)
    history = np.log(together.sum(axis=1)[QUERIES, None] + 0.1).repeat(3, axis=1)
    assert seen["history of the query"] == pytest.approx(history)
    assert np.exp(seen["model"]).sum(axis=1) == pytest.approx(1)


def test_cosines_of_embeddings_are_those_of_the_candidates() -> None:
    chosen = np.kron(np.eye(2), np.ones((6, 2))).astype(np.float32)  # two pairs of products, in six sessions each
    snapshot = snapshot_of(Cooccurrence.of_sessions(sp.csr_matrix(chosen), np.arange(12)), ["mug", "cup", "pot", "pan"])
    products = np.array([[1, 2, PAD], [2, PAD, PAD]], np.int32)
    seen = CandidateSet(snapshot, QUERIES, products).features_QCF[..., NAMES.index("cosine of embeddings")]
    embeddings = item_embeddings(snapshot.shared_PP, chosen.sum(axis=0), len(chosen))
    cosine = embeddings @ embeddings.T
    assert cosine[0, 1] > 0.5 and cosine[3, 2] > 0.5
    assert seen == pytest.approx(np.array([[cosine[0, 1], cosine[0, 2], 0], [cosine[3, 2], 0, 0]]), abs=1e-6)


def test_a_share_of_some_candidates_is_that_of_all_by_their_log_partition(snapshot) -> None:
    whole = CandidateSet(snapshot, QUERIES, candidates_of(snapshot, QUERIES))
    some = np.array([[3, PAD], [PAD, PAD]], np.int32)
    shares = CandidateSet(snapshot, QUERIES, some, whole.log_partition()).log_shares_QC
    assert shares[0] == pytest.approx([whole.log_shares_QC[0, 2], -100], abs=1e-5)
    assert (shares[1] == -100).all()
    assert CandidateSet(snapshot, QUERIES, some).log_partition()[1] == 0


def test_the_table_is_read_without_loading_torch() -> None:
    """As publish_recommendations does."""
    command = "import sys, eclare.related.features; print({'torch', 'faiss'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
