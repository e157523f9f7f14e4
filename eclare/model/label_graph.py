"""The label correlation graph: which labels are clicked from the same points, by random walks with restart."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.inner_products import inner_product
from eclare.arrays.kernels import numba
from eclare.arrays.random import uniform
from eclare.arrays.topk import insert
from eclare.model.config import ECLAREConfig
from eclare.model.data import weighted

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
            raise ValueError(f"edge weights must be positive and finite, got {edges.data.min()} to {edges.data.max()}")
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


def build_label_graph(weights_NL: sp.csr_matrix, config: ECLAREConfig, embedded_LD: Floats | None = None) -> LabelGraph:
    """Walk from every label and keep the labels it meets most (ECLARE, section 4.2, algorithm 1).

    A step goes from the current label to one of its points and on to one of that point's labels, each drawn in
    proportion to the click weights (ours; equal weights are the paper's walk). Labels with more than
    `config.head_label_points` points are cut out and keep only their self-loop. The result depends on the clicks and
    `config.seed` alone, not on the number of threads. With `config.use_graph` off, no label has a neighbour.
    embedded_LD: embeddings of the labels' texts, once there are some; two labels whose embeddings have a negative
    cosine are no neighbours.
    """
    labels = weights_NL.shape[1]
    if not config.use_graph:
        return LabelGraph(sp.identity(labels, np.float32, format="csr"))
    walked = weighted(weights_NL, config).tocsc(copy=True)
    walked.data[np.repeat(np.diff(walked.indptr) > config.head_label_points, np.diff(walked.indptr))] = 0
    walked.eliminate_zeros()
    visits = _Visits.none(labels, config.graph_neighbours)
    _walk_all(
        _transitions(walked),
        _transitions(walked.tocsr()),
        _Walk(config.walk_length, config.restart_probability, config.seed),
        np.zeros((labels, 0), np.float32) if embedded_LD is None else embedded_LD,
        visits,
    )
    return LabelGraph(_normalised(visits))


class _Visits(NamedTuple):
    """For every label: the M other labels that its walk met most, how often, and how often it met itself."""

    neighbours_LM: Rows
    counts_LM: Floats
    own_L: Rows

    @classmethod
    def none(cls, labels: int, neighbours: int) -> "_Visits":
        shape = labels, neighbours
        return cls(np.zeros(shape, np.int32), np.zeros(shape, np.float32), np.zeros(labels, np.int32))


def _normalised(visits: _Visits) -> sp.csr_matrix:
    labels = len(visits.own_L)
    row, place = np.nonzero(visits.counts_LM)
    entries = visits.counts_LM[row, place], (row, visits.neighbours_LM[row, place])
    to_others = sp.csr_matrix(entries, shape=(labels, labels))
    return normalised_edges(sp.csr_matrix(to_others + sp.diags_array(np.maximum(visits.own_L, 1.0))))


def normalised_edges(weights_LL: sp.csr_matrix) -> sp.csr_matrix:
    """D_row^-1/2 A D_col^-1/2 of non-negative weights without an empty row or column."""
    of_row, of_column = (np.asarray(weights_LL.sum(axis=axis)).ravel() ** -0.5 for axis in (1, 0))
    return sp.csr_matrix(sp.diags_array(of_row) @ weights_LL @ sp.diags_array(of_column), dtype=np.float32)


class _Transitions(NamedTuple):
    """One side of the bipartite graph, ready to draw from: row r goes to targets[indptr[r]:indptr[r + 1]]."""

    indptr: Rows
    targets: Rows
    cumulative: Floats  # share of its row's weight that a target and those before it have; 1 at the end of a row


class _Walk(NamedTuple):
    length: int  # steps
    restart: float  # probability
    seed: int


def _transitions(matrix: sp.csr_matrix | sp.csc_matrix) -> _Transitions:
    cumulative = np.empty(matrix.nnz, np.float32)
    _add_up(matrix.indptr, matrix.data, cumulative)
    return _Transitions(matrix.indptr, matrix.indices, cumulative)


@numba.njit(parallel=True, cache=True)
def _add_up(indptr: Rows, weights: Floats, cumulative: Floats) -> None:
    for row in numba.prange(len(indptr) - 1):
        start, end = indptr[row], indptr[row + 1]
        whole = weights[start:end].astype(np.float64).sum()
        total = 0.0
        for entry in range(start, end):
            total += weights[entry]
            cumulative[entry] = total / whole
        if end > start:
            cumulative[end - 1] = 1.0


@numba.njit(parallel=True, cache=True)
def _walk_all(
    by_label: _Transitions, by_point: _Transitions, walk: _Walk, embedded_LD: Floats, visits: _Visits
) -> None:
    """Count the visits of the walks from all labels that have points."""
    starts = np.flatnonzero(np.diff(by_label.indptr))
    for group in numba.prange((len(starts) + WALKS_IN_STEP - 1) // WALKS_IN_STEP):
        labels_S = starts[group * WALKS_IN_STEP : (group + 1) * WALKS_IN_STEP]
        visited_ST = _visited(by_label, by_point, labels_S, walk)
        for i in range(len(labels_S)):
            _count_visits(labels_S[i], np.sort(visited_ST[i]), embedded_LD, visits)


@numba.njit(cache=True)
def _visited(by_label: _Transitions, by_point: _Transitions, starts_S: Labels, walk: _Walk) -> Rows:
    """The labels met by the walks from S labels, in order of visit, S x length.

    They walk in step, so that what all of them need next is fetched at once instead of waited for one by one.
    """
    visited_ST = np.empty((len(starts_S), walk.length), np.int32)
    label_S, point_S, key_S = starts_S.copy(), np.empty_like(starts_S), np.empty(len(starts_S), np.uint64)
    for i in range(len(starts_S)):
        start = np.uint64(starts_S[i] + 1)
        key_S[i] = np.uint64(walk.seed) * np.uint64(0xDA942042E4DD58B5) ^ start * np.uint64(0xD1342543DE82EF95)
    for step in range(walk.length):
        for i in range(len(starts_S)):
            if uniform(key_S[i], 3 * step) < walk.restart:
                label_S[i] = starts_S[i]
            point_S[i] = _draw(by_label, label_S[i], uniform(key_S[i], 3 * step + 1))
        for i in range(len(starts_S)):
            label_S[i] = _draw(by_point, point_S[i], uniform(key_S[i], 3 * step + 2))
            visited_ST[i, step] = label_S[i]
    return visited_ST


@numba.njit(cache=True)
def _draw(side: _Transitions, row: int, uniform: float) -> np.int64:
    """A target of a row, drawn in proportion to its weight.

    Most rows have equal weights; there one look finds it, and every look more is a cache miss.
    """
    start, end = side.indptr[row], side.indptr[row + 1]
    drawn = start + int(uniform * (end - start))
    if not (side.cumulative[drawn] > uniform and (drawn == start or side.cumulative[drawn - 1] <= uniform)):
        drawn = start + np.searchsorted(side.cumulative[start:end], uniform, side="right")
    return np.int64(side.targets[drawn])  # one type, so that what is called with it has one signature


@numba.njit(cache=True)
def _count_visits(label: np.int64, visited_T: Rows, embedded_LD: Floats, visits: _Visits) -> None:
    """visited_T: the labels that the walk from `label` met, sorted."""
    first = 0
    while first < len(visited_T):
        met, end = visited_T[first], np.searchsorted(visited_T, visited_T[first], side="right")
        if met == label:
            visits.own_L[label] = end - first
        elif inner_product(embedded_LD[label], embedded_LD[met]) >= 0:
            insert(visits.neighbours_LM[label], visits.counts_LM[label], met, np.float32(end - first))
        first = end
