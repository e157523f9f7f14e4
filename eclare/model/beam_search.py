"""The search of before, with co-clicks in it, until nothing calls it any more: see eclare.model.search."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from tqdm import tqdm

from eclare.arrays.csr import Floats, Rows, rows_of
from eclare.arrays.topk import best_per_row
from eclare.model.ensemble import Ensemble
from eclare.model.inference import CHUNK, build_index, inner_products
from eclare.model.search import Scored, beam_search, probabilities, search, search_classifiers
from eclare.xc.co_clicks import CoClickScores, bonus_of

__all__ = ["probabilities", "top_labels"]


def top_labels(
    ensemble: Ensemble,
    points_NV: sp.csr_matrix,
    k: int,
    allowed_L: npt.NDArray[np.bool_],
    *,
    own_N: Rows | None = None,
    evidence: CoClickScores | None = None,
) -> tuple[Rows, Floats]:
    """The k best allowed labels of every point and their scores, N x k, best first, ties by lower label row.

    A score is the model's (with clusters, a probability), plus a bonus for observed co-clicks where there is
    `evidence`. own_N: the label that is the point itself and must not come back, if there is one. Where fewer than k
    labels are left, a row ends with PAD and score 0.
    """
    if ensemble.config.shortlister == "clusters":
        return beam_search(ensemble, points_NV, k, allowed_L, own_N)
    if evidence is None or not ensemble.config.evidence_weight:
        return search_classifiers(ensemble, points_NV, k, allowed_L, own_N)
    candidates = np.flatnonzero(allowed_L).astype(np.int32)
    index = build_index(ensemble.classifiers_LD[candidates], ensemble.device)
    found: list[tuple[Rows, Floats]] = []
    for start in tqdm(range(0, points_NV.shape[0], CHUNK), desc="recommend", unit="chunk", disable=None):
        points = points_NV[start : start + CHUNK]
        own = None if own_N is None else own_N[start : start + CHUNK]
        encoded = ensemble.encode(points)
        bonus = bonus_of(evidence.co_clicks(points, own), ensemble.config)
        row, label, score = add_evidence(
            search(index, candidates, encoded, k + 1), bonus, encoded, ensemble.classifiers_LD
        )
        kept = allowed_L[label] if own is None else allowed_L[label] & (label != own[row])
        found.append(best_per_row(row[kept], label[kept], score[kept], points.shape[0], k))
    labels_NK, scores_NK = zip(*found, strict=True)
    return np.concatenate(labels_NK), np.concatenate(scores_NK)


def add_evidence(scored: Scored, bonus: sp.csr_matrix, encoded_ND: Floats, classifiers_LD: Floats) -> Scored:
    """The model's best labels and all labels with evidence, bonus added.

    Nothing is missed: a label without a bonus is beaten by those that the model alone ranks above it.
    """
    row, label = rows_of(bonus), bonus.indices.astype(np.int32)
    labels = np.int64(len(classifiers_LD))
    known = np.isin(scored.row * labels + scored.label, row * labels + label)
    score = inner_products(encoded_ND, classifiers_LD, row, label) + bonus.data
    return Scored(*(np.concatenate([a[~known], b]) for a, b in zip(scored, (row, label, score), strict=True)))
