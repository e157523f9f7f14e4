"""Balanced clusters of labels: the meta-labels that a shortlister looks at first."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.kernels import numba
from eclare.arrays.products import keep_heaviest
from eclare.arrays.random import integer_below
from eclare.arrays.tfidf import normalise_rows
from eclare.arrays.topk import largest
from eclare.model.config import ECLAREConfig

LABELS_PER_CLUSTER = 4  # at least, where the config leaves the number of clusters open
CENTROID_FEATURES = 1000  # largest ones kept of a label's smoothed centroid
ROUNDS = 20  # of 2-means at most


@dataclass(frozen=True, eq=False)
class Clusters:
    """The meta-label of each of L labels: cluster_L counts from 0 and leaves no number out.

    Raises ValueError where one is left out.
    """

    cluster_L: Rows

    def __post_init__(self) -> None:
        found = np.unique(self.cluster_L)
        if not np.array_equal(found, np.arange(len(found))):
            raise ValueError(f"clusters must be numbered from 0 without gaps, got {found[:5]}... up to {found.max()}")

    def __len__(self) -> int:
        return int(self.cluster_L.max()) + 1

    def __repr__(self) -> str:
        sizes = np.bincount(self.cluster_L)
        return f"Clusters({len(self.cluster_L):,} labels in {len(self):,} of {sizes.min()} to {sizes.max()})"

    @cached_property
    def members_CL(self) -> sp.csr_matrix:
        """1 where a cluster holds a label: CSR, clusters x labels."""
        labels = np.arange(len(self.cluster_L), dtype=np.int32)
        ones = np.ones(len(labels), np.float32)
        return sp.csr_matrix((ones, (self.cluster_L, labels)), shape=(len(self), len(labels)))

    def save(self, folder: Path) -> None:
        """Write clusters.npz: plain arrays, no pickle."""
        np.savez(folder / "clusters.npz", cluster=self.cluster_L)

    @classmethod
    def load(cls, folder: Path) -> "Clusters":
        """Read what `save` wrote; raises ValueError where it does not hold together."""
        with np.load(folder / "clusters.npz", allow_pickle=False) as file:
            return cls(file["cluster"])


def build_clusters(features_LF: sp.csr_matrix, points_L: npt.NDArray[np.int64], config: ECLAREConfig) -> Clusters:
    """Split labels in halves of like features again and again; head labels become clusters of their own.

    Balanced spherical 2-means (Prabhu et al., Parabel, WWW 2018, section 4.1) down to 2^cluster_bits leaves, with head
    labels apart (ECLARE, section 4.4). features_LF: CSR, rows of norm 1 or 0. points_L: training points of each label.
    The result depends on the input and `config.seed` alone, not on the number of threads.
    """
    head = points_L > config.head_label_points
    rest = np.flatnonzero(~head).astype(np.int32)
    bits = _bits(len(rest), config.cluster_bits)
    cluster_L = np.empty(len(points_L), np.int32)
    if len(rest):
        cluster_L[rest] = _balanced(features_LF[rest], bits, config.seed)
    cluster_L[head] = np.arange(head.sum()) + (2**bits if len(rest) else 0)
    return Clusters(cluster_L)


def _bits(labels: int, wanted: int) -> int:
    """How often labels can be halved without an empty cluster, at most as often as wanted."""
    most = max(labels, 1).bit_length() - 1
    return min(wanted, most) if wanted else max(0, most - (LABELS_PER_CLUSTER.bit_length() - 1))


def smoothed_centroids(
    weights_NL: sp.csr_matrix, points_NF: sp.csr_matrix, labels_LF: sp.csr_matrix, edges_LL: sp.csr_matrix
) -> sp.csr_matrix:
    """Label centroids, smoothed over the graph: CSR L x F, rows of norm 1 or 0 (ECLARE, section 4.4).

    A centroid is the sum of the features of the label's points; that of a label without points is its own text (ours).
    """
    centroids = normalise_rows(sp.csr_matrix(weights_NL.T @ points_NF))
    without_points = sp.diags_array((np.diff(centroids.indptr) == 0).astype(np.float32))
    smoothed = sp.csr_matrix(edges_LL @ (centroids + without_points @ labels_LF), dtype=np.float32)
    return normalise_rows(keep_heaviest(smoothed, CENTROID_FEATURES))


def _balanced(features: sp.csr_matrix, bits: int, seed: int) -> Rows:
    """The leaf, 0 to 2^bits - 1, of every row."""
    rows = CSR.of(features)
    order = np.arange(features.shape[0], dtype=np.int32)
    starts = np.array([0, features.shape[0]], np.int64)
    sums = np.zeros((numba.get_num_threads(), 2, features.shape[1]), np.float32)
    for level in range(bits):
        seed_of_level = np.uint64(seed * 64 + level)
        order = _halve_all(order, starts, rows, sums, seed_of_level)
        middles = (starts[:-1] + starts[1:] + 1) // 2
        starts = np.sort(np.concatenate([starts, middles]))
    leaf = np.empty(len(order), np.int32)
    leaf[order] = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
    return leaf


@numba.njit(parallel=True, cache=True)
def _halve_all(order: Rows, starts: npt.NDArray[np.int64], features: CSR, sums: Floats, seed: np.uint64) -> Rows:
    """Every node order[starts[n]:starts[n + 1]] sorted so that each of its halves holds like rows.

    sums: zeros, workers x 2 x features, and zeros again afterwards.
    """
    halved, workers = np.empty_like(order), len(sums)
    for worker in numba.prange(workers):
        for node in range(worker, len(starts) - 1, workers):
            start, end = starts[node], starts[node + 1]
            halved[start:end] = _halve(order[start:end], features, sums[worker], seed + np.uint64(64 * node))
    return halved


@numba.njit(cache=True)
def _halve(rows: Rows, features: CSR, sums: Floats, seed: np.uint64) -> Rows:
    """Balanced spherical 2-means of some rows, from two of them drawn at random; ties keep their order."""
    if len(rows) < 2:
        return rows
    half = (len(rows) + 1) // 2
    first = integer_below(len(rows), seed)
    second = (first + 1 + integer_below(len(rows) - 1, seed + np.uint64(1))) % len(rows)
    left, right = rows[first : first + 1], rows[second : second + 1]
    ranked = rows
    for _ in range(ROUNDS):
        nearer = _nearer_to_left(rows, left, right, features, sums)
        previous, ranked = ranked, rows[largest(nearer, len(rows))]
        left, right = ranked[:half], ranked[half:]
        if np.array_equal(np.sort(previous[:half]), np.sort(left)):
            break
    return ranked


@numba.njit(cache=True)
def _nearer_to_left(rows: Rows, left: Rows, right: Rows, features: CSR, sums: Floats) -> Floats:
    """The cosine of every row to the centroid of `left`, minus that to the centroid of `right`.

    sums: zeros, 2 x features, and zeros again afterwards.
    """
    of_left, of_right = sums[0], sums[1]
    left_norm, right_norm = _sum_up(left, features, of_left), _sum_up(right, features, of_right)
    nearer = np.zeros(len(rows), np.float32)
    for place in range(len(rows)):
        row = rows[place]
        for entry in range(features.indptr[row], features.indptr[row + 1]):
            column = features.indices[entry]
            nearer[place] += features.data[entry] * (of_left[column] / left_norm - of_right[column] / right_norm)
    _clear(left, features, of_left)
    _clear(right, features, of_right)
    return nearer


@numba.njit(cache=True)
def _sum_up(rows: Rows, features: CSR, total: Floats) -> np.float32:
    """Sum up rows in an array of zeros; returns the sum's Euclidean norm, 1 for a sum of nothing."""
    for row in rows:
        for entry in range(features.indptr[row], features.indptr[row + 1]):
            total[features.indices[entry]] += features.data[entry]
    square = np.float32(0)
    for row in rows:
        for entry in range(features.indptr[row], features.indptr[row + 1]):
            square += features.data[entry] * total[features.indices[entry]]
    return np.sqrt(square) if square > 0 else np.float32(1)


@numba.njit(cache=True)
def _clear(rows: Rows, features: CSR, total: Floats) -> None:
    for row in rows:
        for entry in range(features.indptr[row], features.indptr[row + 1]):
            total[features.indices[entry]] = 0
