import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from eclare.arrays.tfidf import Vocabulary, normalise_rows
from eclare.model.clusters import Clusters, build_clusters, smoothed_centroids
from eclare.model.config import ECLAREConfig
from tests.made_shops import shop_of_groups

CONFIG = ECLAREConfig(cluster_bits=3, head_label_points=50)


def features_of(titles: list[str]) -> sp.csr_matrix:
    return Vocabulary.of(titles).features(titles)


def one_point_each(labels: int) -> np.ndarray:
    return np.ones(labels, np.int64)


def test_labels_of_like_words_come_together() -> None:
    shop = shop_of_groups(groups=8, products_per_group=12)
    shuffled = np.random.default_rng(0).permutation(96)
    clusters = build_clusters(features_of(shop.titles)[shuffled], one_point_each(96), CONFIG)
    assert len(clusters) == 8
    groups = [shop.group_of_P[shuffled][clusters.cluster_L == cluster] for cluster in range(8)]
    assert np.mean([np.bincount(group).max() / len(group) for group in groups]) > 0.8


@given(
    labels=st.integers(1, 90),
    bits=st.integers(0, 9),
    heads=st.integers(0, 5),
    seed=st.integers(0, 3),
    words=st.integers(1, 20),
)
@settings(max_examples=60)
def test_clusters_are_balanced_whole_and_the_same_again(labels, bits, heads, seed, words) -> None:
    random = np.random.default_rng(seed)
    features = normalise_rows(sp.random(labels, words, 0.3, format="csr", random_state=random, dtype=np.float32))
    points = one_point_each(labels)
    points[:heads] = 51
    config = ECLAREConfig(cluster_bits=bits, head_label_points=50, seed=seed)
    clusters = build_clusters(features, points, config)
    sizes = np.bincount(clusters.cluster_L)
    rest = max(labels - heads, 0)
    tree = sizes[: len(sizes) - min(heads, labels)]
    assert sizes.sum() == labels and (sizes > 0).all()
    assert (sizes[len(tree) :] == 1).all(), "head labels stay alone"
    assert tree.sum() == rest and (rest == 0 or np.ptp(tree) <= 1)
    if bits:
        assert len(tree) == (min(2**bits, 1 << (rest.bit_length() - 1)) if rest else 0)
    elif rest:
        assert rest < 8 or tree.min() >= 4
    assert np.array_equal(build_clusters(features, points, config).cluster_L, clusters.cluster_L)


def test_the_number_of_threads_changes_nothing() -> None:
    features = normalise_rows(sp.random(500, 60, 0.1, format="csr", random_state=0, dtype=np.float32))
    config = ECLAREConfig(cluster_bits=6)
    usual, found = numba.get_num_threads(), []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(build_clusters(features, one_point_each(500), config).cluster_L)
    numba.set_num_threads(usual)
    assert np.array_equal(*found)


def test_a_split_leaves_no_pair_that_would_rather_swap() -> None:
    """At the end of 2-means every row of one half is at least as near to that half's centroid as any of the other."""
    features = normalise_rows(sp.random(41, 12, 0.5, format="csr", random_state=1, dtype=np.float32))
    clusters = build_clusters(features, one_point_each(41), ECLAREConfig(cluster_bits=1))
    dense = features.toarray().astype(np.float64)
    centroids = np.array([dense[clusters.cluster_L == side].sum(axis=0) for side in (0, 1)])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    nearer_to_first = dense @ (centroids[0] - centroids[1])
    assert nearer_to_first[clusters.cluster_L == 0].min() >= nearer_to_first[clusters.cluster_L == 1].max() - 1e-5


def test_a_label_without_points_is_like_its_own_text_and_its_neighbours() -> None:
    texts = sp.identity(3, np.float32, format="csr")
    clicks = sp.csr_matrix(np.array([[1, 0, 0], [1, 1, 0]], np.float32))
    points = sp.csr_matrix(np.array([[1, 0, 0], [0, 1, 0]], np.float32))
    edges = sp.csr_matrix(np.array([[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5]], np.float32))
    centroids = smoothed_centroids(clicks, points, texts, edges).toarray()
    root = 0.5**0.5
    third = np.array([0.5 * root, 0.5 * root, 0.5])
    assert np.allclose(centroids, [[root, root, 0], [0, 1, 0], third / np.linalg.norm(third)])


def test_they_are_saved_and_gaps_are_refused(tmp_path) -> None:
    clusters = Clusters(np.array([0, 2, 1, 1], np.int32))
    clusters.save(tmp_path)
    assert np.array_equal(Clusters.load(tmp_path).cluster_L, clusters.cluster_L)
    assert clusters.members_CL.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]]
    with pytest.raises(ValueError, match="without gaps"):
        Clusters(np.array([0, 2], np.int32))
