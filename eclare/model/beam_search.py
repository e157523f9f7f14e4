"""The best labels of every point: exactly, by inner product with all classifiers, or by beam search over clusters."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from tqdm import tqdm

from eclare.arrays.csr import rows_of
from eclare.arrays.products import keep_heaviest
from eclare.arrays.topk import best_per_row
from eclare.model.ensemble import Ensemble, Member, Trained
from eclare.model.inference import CHUNK, Floats, Pairs, Rows, build_index, encoded_by, inner_products, search

KEPT_LABELS = 200  # best labels of a point whose neighbours take part in a prediction over clusters


def top_labels(
    ensemble: Ensemble, points_NV: sp.csr_matrix, k: int, allowed_L: npt.NDArray[np.bool_], *, own_N: Rows | None = None
) -> tuple[Rows, Floats]:
    """The k best allowed labels of every point and their scores, N x k, best first, ties by lower label row.

    A score is the model's (with clusters, a probability). own_N: the label that is the point itself and must not come
    back, if there is one. Where fewer than k labels are left, a row ends with PAD and score 0.
    """
    candidates = np.flatnonzero(allowed_L).astype(np.int32)
    in_clusters = ensemble.config.shortlister == "clusters"
    index = None if in_clusters else build_index(ensemble.classifiers_LD[candidates], ensemble.device)
    found: list[tuple[Rows, Floats]] = []
    for start in tqdm(range(0, points_NV.shape[0], CHUNK), desc="recommend", unit="chunk", disable=None):
        points = points_NV[start : start + CHUNK]
        own = None if own_N is None else own_N[start : start + CHUNK]
        if index is None:
            row, label, score = as_pairs(probabilities(ensemble, points))
        else:
            row, label, score = search(index, candidates, ensemble.encode(points), k + 1)
        kept = allowed_L[label] if own is None else allowed_L[label] & (label != own[row])
        found.append(best_per_row(row[kept], label[kept], score[kept], points.shape[0], k))
    labels_NK, scores_NK = zip(*found, strict=True)
    return np.concatenate(labels_NK), np.concatenate(scores_NK)


def probabilities(ensemble: Ensemble, points_NV: sp.csr_matrix) -> sp.csr_matrix:
    """Mean probability of the labels that any member shortlists, CSR N x L (ECLARE, section 4.5)."""
    total = sum(_probabilities(member, points_NV) for member in ensemble.members)
    return sp.csr_matrix(total / len(ensemble.members), dtype=np.float32)


def _probabilities(member: Member, points_NV: sp.csr_matrix) -> sp.csr_matrix:
    """P(meta-label) P(label) over the labels of the best meta-labels, each share over the graph."""
    ranker, config = member.ranker, member.ranker.model.config
    shortlister, members_CL = member.over_clusters
    clusters = _best_clusters(shortlister, points_NV, config.beam)
    clusters = shared_over_graph(clusters, shortlister.texts.edges_LL, config.graph_share, config.beam)
    labels = sp.csr_matrix(clusters @ members_CL)
    encoded = encoded_by(ranker.model, points_NV)
    scores = inner_products(encoded, ranker.classifiers_LD, rows_of(labels), labels.indices.astype(np.int32))
    labels.data = (labels.data * _sigmoid(scores)).astype(np.float32)
    return shared_over_graph(labels, ranker.texts.edges_LL, config.graph_share, KEPT_LABELS)


def _best_clusters(shortlister: Trained, points_NV: sp.csr_matrix, beam: int) -> sp.csr_matrix:
    clusters = len(shortlister.classifiers_LD)
    encoded = encoded_by(shortlister.model, points_NV)
    row, cluster, score = search(shortlister.index, np.arange(clusters, dtype=np.int32), encoded, min(beam, clusters))
    return sp.csr_matrix((_sigmoid(score), (row, cluster)), shape=(points_NV.shape[0], clusters))


def shared_over_graph(p_NL: sp.csr_matrix, edges_LL: sp.csr_matrix, share: float, k: int) -> sp.csr_matrix:
    """Graph-augmented prediction, (1 - share) p + share topk(p G) (ECLARE, section 4.5)."""
    if not share:
        return p_NL
    return sp.csr_matrix((1 - share) * p_NL + share * keep_heaviest(sp.csr_matrix(p_NL @ edges_LL), k))


def as_pairs(matrix: sp.csr_matrix) -> Pairs:
    """Every stored entry."""
    return Pairs(rows_of(matrix), matrix.indices.astype(np.int32), matrix.data.astype(np.float32))


def _sigmoid(score: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-score)), dtype=np.float32)
