import numba
import numpy as np
import pytest
import scipy.sparse as sp

from eclare.model.config import ECLAREConfig
from eclare.model.label_graph import LabelGraph, build_label_graph
from tests.made_shops import shop_of_groups

CLICKS = sp.csr_matrix(np.array([[3, 1, 0, 0], [1, 0, 2, 0], [0, 0, 1, 0]], dtype=np.float32))


def visits_by_the_book(weights_NL, config: ECLAREConfig, walks: int) -> np.ndarray:
    """Expected share of visits of each label's walk, by simulating many walks in plain Python."""
    random = np.random.default_rng(1)
    to_point, to_label = (weights / weights.sum(axis=1, keepdims=True) for weights in (weights_NL.T, weights_NL))
    share = np.zeros((weights_NL.shape[1],) * 2)
    for start in range(len(share)):
        label = start
        for _ in range(walks):
            if random.random() < config.restart_probability:
                label = start
            point = random.choice(len(to_label), p=to_point[label])
            label = random.choice(len(share), p=to_label[point])
            share[start, label] += 1 / walks
    return share


def test_visits_follow_the_random_walk() -> None:
    config = ECLAREConfig(walk_length=200_000, restart_probability=0.6)
    connected = CLICKS[:, :3]
    share = visits_by_the_book(connected.toarray(), config, walks=20_000)
    expected = share / np.sqrt(np.outer(share.sum(axis=1), share.sum(axis=0)))
    assert build_label_graph(connected, config).edges_LL.toarray() == pytest.approx(expected, abs=0.02)


def test_head_labels_and_labels_without_clicks_keep_only_their_self_loop() -> None:
    graph = build_label_graph(CLICKS, ECLAREConfig(head_label_points=1)).edges_LL.toarray()
    clicked_from_two_points, never_clicked = [0, 2], 3
    for label in [*clicked_from_two_points, never_clicked]:
        assert np.flatnonzero(graph[label]).tolist() == [label]
        assert np.flatnonzero(graph[:, label]).tolist() == [label]


def test_neighbours_stay_within_the_group() -> None:
    shop = shop_of_groups()
    edges = build_label_graph(shop.clicks.weights_NL, ECLAREConfig()).edges_LL.tocoo()
    assert (shop.group_of_P[edges.row] == shop.group_of_P[edges.col]).all()
    assert edges.nnz > 5 * len(shop.titles)


def test_the_graph_depends_on_the_seed_and_not_on_the_threads() -> None:
    clicks = shop_of_groups().clicks.weights_NL
    before = numba.get_num_threads()
    try:
        graphs = []
        for threads in (1, before):
            numba.set_num_threads(threads)
            graphs.append(build_label_graph(clicks, ECLAREConfig(seed=3)).edges_LL.toarray())
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(*graphs)
    assert not np.array_equal(graphs[0], build_label_graph(clicks, ECLAREConfig(seed=4)).edges_LL.toarray())


def test_a_saved_graph_is_the_same_graph(tmp_path) -> None:
    graph = build_label_graph(CLICKS, ECLAREConfig())
    graph.save(tmp_path)
    assert np.array_equal(LabelGraph.load(tmp_path).edges_LL.toarray(), graph.edges_LL.toarray())


def test_a_graph_without_a_self_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="1 lack it, the first is row 1"):
        LabelGraph(sp.csr_matrix(np.array([[1, 1], [1, 0]], dtype=np.float32)))
