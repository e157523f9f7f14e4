"""The best labels of every point: by inner product with all classifiers, or by the beam search of the paper."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Floats, Rows, rows_of
from eclare.arrays.inner_products import inner_products
from eclare.arrays.products import keep_heaviest
from eclare.arrays.topk import PAD, best_per_row
from eclare.model.config import ECLAREConfig
from eclare.model.ensemble import Ensemble, Member, Trained
from eclare.model.exact_index import Index
from eclare.model.inference import CHUNK, build_index, encoded_by

KEPT_LABELS = 200  # heaviest labels of p G that take part in a prediction over clusters


def search_classifiers(
    ensemble: Ensemble, points_NV: sp.csr_matrix, k: int, allowed_L: npt.NDArray[np.bool_], own_N: Rows | None = None
) -> tuple[Rows, Floats]:
    """The k allowed labels with the highest inner products of every point, N x k, best first, ties by lower label row.

    Exact. Ours: the paper scores no label outside the beam. own_N: the label that is the point itself and must not come
    back, if there is one. Where fewer than k labels are left, a row ends with PAD and score 0.
    """
    labels = np.flatnonzero(allowed_L).astype(np.int32)
    index = build_index(ensemble.classifiers_LD[labels], ensemble.device)
    own_N = np.full(points_NV.shape[0], PAD, np.int32) if own_N is None else own_N
    best = []
    for chunk in chunks_of(points_NV.shape[0]):
        scored = search(index, labels, ensemble.encode(points_NV[chunk]), k + 1)
        best.append(_best(scored, k, allowed_L, own_N[chunk]))
    return _joined(best)


def beam_search(
    ensemble: Ensemble, points_NV: sp.csr_matrix, k: int, allowed_L: npt.NDArray[np.bool_], own_N: Rows | None = None
) -> tuple[Rows, Floats]:
    """The k likeliest allowed labels of every point among those of its best clusters, and their probabilities.

    N x k, best first, ties by lower label row; own_N and PAD as in search_classifiers (ECLARE, section 4.5). Raises
    ValueError where the ensemble was trained without clusters.
    """
    own_N = np.full(points_NV.shape[0], PAD, np.int32) if own_N is None else own_N
    best = []
    for chunk in chunks_of(points_NV.shape[0]):
        p_NL = probabilities(ensemble, points_NV[chunk])
        scored = Scored(rows_of(p_NL), p_NL.indices.astype(np.int32), p_NL.data)
        best.append(_best(scored, k, allowed_L, own_N[chunk]))
    return _joined(best)


class Scored(NamedTuple):
    """Labels of points and their scores, one of each an entry, in no order."""

    row: Rows
    label: Rows
    score: Floats


def search(index: Index, labels: Rows, encoded_ND: Floats, k: int) -> Scored:
    """The k best-scored of the indexed labels for every encoded point."""
    scores_NK, positions_NK = index.search(encoded_ND, k)
    row, place = np.nonzero(positions_NK != PAD)
    return Scored(row.astype(np.int32), labels[positions_NK[row, place]], scores_NK[row, place])


def chunks_of(points: int) -> list[slice]:
    """All points, CHUNK at a time."""
    return [slice(start, min(start + CHUNK, points)) for start in range(0, points, CHUNK)]


def _best(scored: Scored, k: int, allowed_L: npt.NDArray[np.bool_], own_N: Rows) -> tuple[Rows, Floats]:
    kept = allowed_L[scored.label] & (scored.label != own_N[scored.row])
    return best_per_row(scored.row[kept], scored.label[kept], scored.score[kept], len(own_N), k)


def _joined(parts: list[tuple[Rows, Floats]]) -> tuple[Rows, Floats]:
    return np.concatenate([labels for labels, _ in parts]), np.concatenate([scores for _, scores in parts])


def probabilities(ensemble: Ensemble, points_NV: sp.csr_matrix) -> sp.csr_matrix:
    """Mean probability of the labels that any member shortlists, CSR N x L (ECLARE, section 4.5)."""
    total = sum(_probabilities(member, points_NV) for member in ensemble.members)
    return sp.csr_matrix(total / len(ensemble.members), dtype=np.float32)


def _probabilities(member: Member, points_NV: sp.csr_matrix) -> sp.csr_matrix:
    """P(meta-label) P(label) over the labels of the best meta-labels, each share over the graph."""
    classifier, config = member.classifier, member.classifier.model.config
    shortlister, members_CL = member.over_clusters
    labels = sp.csr_matrix(best_clusters(shortlister, points_NV, config) @ members_CL)
    encoded = encoded_by(classifier.model, points_NV)
    scores = inner_products(encoded, classifier.classifiers_LD, rows_of(labels), labels.indices.astype(np.int32))
    labels.data = (labels.data * _sigmoid(scores)).astype(np.float32)
    return shared_over_graph(labels, classifier.texts.edges_LL, config.graph_share, KEPT_LABELS)


def best_clusters(shortlister: Trained, points_NV: sp.csr_matrix, config: ECLAREConfig) -> sp.csr_matrix:
    """Probabilities of the `beam` best meta-labels of every point, shared over their graph: CSR N x C."""
    clusters = len(shortlister.classifiers_LD)
    encoded = encoded_by(shortlister.model, points_NV)
    best = search(shortlister.index, np.arange(clusters, dtype=np.int32), encoded, min(config.beam, clusters))
    p_NC = sp.csr_matrix((_sigmoid(best.score), (best.row, best.label)), shape=(points_NV.shape[0], clusters))
    return shared_over_graph(p_NC, shortlister.texts.edges_LL, config.graph_share, config.beam)


def shared_over_graph(p_NL: sp.csr_matrix, edges_LL: sp.csr_matrix, share: float, k: int) -> sp.csr_matrix:
    """Graph-augmented prediction, (1 - share) p + share topk(p G) (ECLARE, section 4.5)."""
    if not share:
        return p_NL
    return sp.csr_matrix((1 - share) * p_NL + share * keep_heaviest(sp.csr_matrix(p_NL @ edges_LL), k))


def _sigmoid(score: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-score)), dtype=np.float32)
