"""The label correlation graph: which labels are clicked from the same points, by random walks with restart."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.model.config import ECLAREConfig
from eclare.model.interactions import weighted

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Labels = npt.NDArray[np.int64]

WALKS_IN_STEP = 8  # of one thread


@dataclass(frozen=True, eq=False)
class LabelGraph:
    """Normalised label correlations: G = D_row^-1/2 A D_col^-1/2 over visit counts A, self-loops included.

    edges_LL: CSR float32, every label has its self-loop. Raises ValueError where one is missing or a weight is not
    positive and finite.
    """

    edges_LL: sp.csr_matrix

    def __post_init__(self) -> None:
        edges = self.edges_LL
        if edges.shape[0] != edges.shape[1]:
            raise ValueError(f"a label graph is labels x labels, got {edges.shape}")
        if not (np.isfinite(edges.data).all() and (edges.data > 0).all()):
            raise ValueError("edge weights must be positive and finite")
        without = np.flatnonzero(edges.diagonal() == 0)
        if len(without):
            raise ValueError(f"every label needs its self-loop, {len(without)} lack it, the first is row {without[0]}")

    def __repr__(self) -> str:
        labels = self.edges_LL.shape[0]
        connected = int((self.edges_LL.getnnz(axis=1) > 1).sum())
        return f"LabelGraph({labels:,} labels, {connected:,} with neighbours, {self.edges_LL.nnz - labels:,} edges)"

    def save(self, folder: Path) -> None:
        """Write label_graph.npz: plain arrays, no pickle."""
        sp.save_npz(folder / "label_graph.npz", self.edges_LL)

    @classmethod
    def load(cls, folder: Path) -> "LabelGraph":
        """Read what `save` wrote; raises ValueError where it does not hold together."""
        return cls(sp.load_npz(folder / "label_graph.npz").tocsr())


def build_label_graph(
    weights_NL: sp.csr_matrix, config: ECLAREConfig, embedded_LD: npt.NDArray[np.float32] | None = None
) -> LabelGraph:
    """Walk from every label and keep the labels it meets most (ECLARE, section 4.2, algorithm 1).

    A step goes from the current label to one of its points and on to one of that point's labels, each drawn in
    proportion to the click weights (equal weights are the paper's walk). Labels with more than
    `config.head_label_points` points are cut out and keep only their self-loop. The result depends on the clicks and
    `config.seed` alone, not on the number of threads. With `config.use_graph` off, nobody has a neighbour.
    embedded_LD: embeddings of the labels' texts, once there are some; two labels whose embeddings have a negative
    cosine are no neighbours.
    """
    if not config.use_graph:
        return LabelGraph(sp.identity(weights_NL.shape[1], np.float32, format="csr"))
    walked = weighted(weights_NL, config).tocsc(copy=True)
    walked.data[np.repeat(np.diff(walked.indptr) > config.head_label_points, np.diff(walked.indptr))] = 0
    walked.eliminate_zeros()
    neighbours_LM, visits_LM, own_visits_L = _walk_all(
        _steps(walked),
        _steps(walked.tocsr()),
        (config.walk_length, config.restart_probability, config.seed),
        config.graph_neighbours,
        np.zeros((0, 0), np.float32) if embedded_LD is None else embedded_LD,
    )
    return LabelGraph(_normalised(neighbours_LM, visits_LM, own_visits_L))


def _normalised(neighbours_LM: Rows, visits_LM: Rows, own_visits_L: Rows) -> sp.csr_matrix:
    labels = len(own_visits_L)
    row, column = np.nonzero(visits_LM)
    visits = sp.csr_matrix((visits_LM[row, column], (row, neighbours_LM[row, column])), shape=(labels, labels))
    return normalised_edges(sp.csr_matrix(visits + sp.diags_array(np.maximum(own_visits_L, 1.0))))


def normalised_edges(weights_LL: sp.csr_matrix) -> sp.csr_matrix:
    """D_row^-1/2 A D_col^-1/2 of non-negative weights without an empty row or column."""
    of_row, of_column = (np.asarray(weights_LL.sum(axis=axis)).ravel() ** -0.5 for axis in (1, 0))
    return sp.csr_matrix(sp.diags_array(of_row) @ weights_LL @ sp.diags_array(of_column), dtype=np.float32)


class _Steps(NamedTuple):
    """One side of the bipartite graph, ready to draw from: row r goes to targets[indptr[r]:indptr[r + 1]]."""

    indptr: Rows
    targets: Rows
    share: Floats  # of its row's weight that a target and those before it have; 1 at the end of a row


def _steps(matrix: sp.csr_matrix | sp.csc_matrix) -> _Steps:
    share = np.empty(matrix.nnz, np.float32)
    _add_up(matrix.indptr, matrix.data, share)
    return _Steps(matrix.indptr, matrix.indices, share)


@numba.njit(parallel=True, cache=True)
def _add_up(indptr: Rows, weights: Floats, share: Floats) -> None:
    for row in numba.prange(len(indptr) - 1):
        start, end = indptr[row], indptr[row + 1]
        whole = weights[start:end].astype(np.float64).sum()
        total = 0.0
        for entry in range(start, end):
            total += weights[entry]
            share[entry] = total / whole
        if end > start:
            share[end - 1] = 1.0


@numba.njit(cache=True)
def _uniform(key: np.uint64, counter: int) -> float:
    """A uniform number in [0, 1) from a key and a counter (splitmix64: Steele, Lea, Flood, OOPSLA 2014)."""
    z = key + np.uint64(counter + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 2.0**-53


@numba.njit(cache=True)
def _step(side: _Steps, row: int, uniform: float) -> np.int64:
    """A target of a row, drawn in proportion to its weight.

    Most rows have equal weights; there one look finds it, and every look more is a cache miss.
    """
    start, end = side.indptr[row], side.indptr[row + 1]
    drawn = start + int(uniform * (end - start))
    if not (side.share[drawn] > uniform and (drawn == start or side.share[drawn - 1] <= uniform)):
        drawn = start + np.searchsorted(side.share[start:end], uniform, side="right")
    return np.int64(side.targets[drawn])  # one type, so that what is called with it has one signature


@numba.njit(cache=True)
def _walk(by_label: _Steps, by_point: _Steps, starts_S: Labels, walk: tuple[int, float, int]) -> Rows:
    """The labels met by the walks from S labels, in order of visit, S x length.

    They walk in step, so that what all of them need next is fetched at once instead of waited for one by one.
    """
    length, restart, seed = walk
    visited_ST = np.empty((len(starts_S), length), np.int32)
    label_S, point_S, key_S = starts_S.copy(), np.empty_like(starts_S), np.empty(len(starts_S), np.uint64)
    for one in range(len(starts_S)):
        start = np.uint64(starts_S[one] + 1)
        key_S[one] = np.uint64(seed) * np.uint64(0xDA942042E4DD58B5) ^ start * np.uint64(0xD1342543DE82EF95)
    for step in range(length):
        for one in range(len(starts_S)):
            if _uniform(key_S[one], 3 * step) < restart:
                label_S[one] = starts_S[one]
            point_S[one] = _step(by_label, label_S[one], _uniform(key_S[one], 3 * step + 1))
        for one in range(len(starts_S)):
            label_S[one] = _step(by_point, point_S[one], _uniform(key_S[one], 3 * step + 2))
            visited_ST[one, step] = label_S[one]
    return visited_ST


@numba.njit(cache=True)
def _keep_heaviest(labels_M: Rows, visits_M: Rows, label: int, visits: int) -> None:
    """Insert a label into a list that falls by visits; it goes behind its equals, the last one drops out."""
    slot = len(visits_M)
    while slot > 0 and visits > visits_M[slot - 1]:
        slot -= 1
    if slot < len(visits_M):
        labels_M[slot + 1 :], visits_M[slot + 1 :] = labels_M[slot:-1].copy(), visits_M[slot:-1].copy()
        labels_M[slot], visits_M[slot] = label, visits


@numba.njit(cache=True)
def _may_be_neighbours(embedded_LD: npt.NDArray[np.float32], one: int, other: int) -> bool:
    """Whether two texts do not point away from each other; without embeddings, everyone may."""
    if not len(embedded_LD):
        return True
    product = np.float32(0)
    for d in range(embedded_LD.shape[1]):
        product += embedded_LD[one, d] * embedded_LD[other, d]
    return bool(product >= 0)


@numba.njit(parallel=True, cache=True)
def _walk_all(
    by_label: _Steps,
    by_point: _Steps,
    walk: tuple[int, float, int],
    neighbours: int,
    embedded_LD: npt.NDArray[np.float32],
) -> tuple[Rows, Rows, Rows]:
    """For every label: the M other labels its walk met most, their visits, and the visits to itself."""
    labels = len(by_label.indptr) - 1
    neighbours_LM = np.zeros((labels, neighbours), np.int32)
    visits_LM = np.zeros((labels, neighbours), np.int32)
    own_visits_L = np.zeros(labels, np.int32)
    starts = np.flatnonzero(np.diff(by_label.indptr))
    for together in numba.prange((len(starts) + WALKS_IN_STEP - 1) // WALKS_IN_STEP):
        labels_S = starts[together * WALKS_IN_STEP : (together + 1) * WALKS_IN_STEP]
        visited_ST = _walk(by_label, by_point, labels_S, walk)
        for one in range(len(labels_S)):
            label, visited = labels_S[one], np.sort(visited_ST[one])
            first = 0
            while first < len(visited):
                met, last = np.int64(visited[first]), np.searchsorted(visited, visited[first], side="right")
                if met == label:
                    own_visits_L[label] = last - first
                elif _may_be_neighbours(embedded_LD, label, met):
                    _keep_heaviest(neighbours_LM[label], visits_LM[label], met, last - first)
                first = last
    return neighbours_LM, visits_LM, own_visits_L
