"""The best labels of every point, exactly: a maximum inner-product search over all label classifiers."""

from collections.abc import Callable
from typing import NamedTuple

import faiss
import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from tqdm import tqdm

from eclare.evidence import Evidence, bonus_of
from eclare.model import ECLARE, Bags, LabelRows
from eclare.recommendations import NOTHING
from eclare.sparse import best_per_row, rows_of
from eclare.train import Texts

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]

_CHUNK = 8192  # rows in memory at a time
EXACT_BELOW = 500_000  # classifiers
SEARCHED_LISTS = 0.05  # share of the lists of an approximate index that a search reads


@torch.no_grad()
def classifiers_of(model: ECLARE, texts: Texts) -> Floats:
    """All label classifiers w_l, L x D."""
    return _of_all_labels(model, texts, model.classifiers)


@torch.no_grad()
def attention_of(model: ECLARE, texts: Texts) -> Floats:
    """How every label mixes its views, L x Z, rows sum to 1; equal shares where the config sums them."""

    def weights(rows: LabelRows, texts_LD: torch.Tensor) -> torch.Tensor:
        views_SZD = model.views(rows, texts_LD)
        equal = torch.full(views_SZD.shape[:2], 1 / views_SZD.shape[1])
        shares: torch.Tensor = model.attention(views_SZD)[1] if model.config.use_attention else equal
        return shares

    return _of_all_labels(model, texts, weights)


def _of_all_labels(model: ECLARE, texts: Texts, compute: Callable[[LabelRows, torch.Tensor], torch.Tensor]) -> Floats:
    device, labels = model.refinement.weight.device, texts.labels_LV.shape[0]
    texts_LD = model.embed(Bags.of(texts.labels_LV, device))
    computed = []
    for start in range(0, labels, _CHUNK):
        rows = torch.arange(start, min(start + _CHUNK, labels), device=device)
        edges = Bags.of(texts.edges_LL[start : start + _CHUNK], device)
        computed.append(compute(LabelRows(rows, rows, edges), texts_LD))
    return np.asarray(torch.cat(computed).cpu().numpy())


@torch.no_grad()
def top_labels(
    model: ECLARE,
    texts: Texts,
    k: int,
    allowed_L: npt.NDArray[np.bool_],
    *,
    own_N: Rows | None = None,
    evidence: Evidence | None = None,
) -> tuple[Rows, Floats]:
    """The k best allowed labels of every point and their scores, N x k, best first, ties by lower label row.

    A score is the model's, plus a bonus for observed co-clicks where there is `evidence`. own_N: the label that is the
    point itself and must not come back, if there is one. Where fewer than k labels are left, a row ends with NOTHING
    and score 0.
    """
    device = model.refinement.weight.device
    candidates = np.flatnonzero(allowed_L).astype(np.int32)
    classifiers_LD = classifiers_of(model, texts)
    index = build_index(classifiers_LD[candidates], device)
    found: list[tuple[Rows, Floats]] = []
    for start in tqdm(range(0, texts.points_NV.shape[0], _CHUNK), desc="recommend", unit="chunk", disable=None):
        points = texts.points_NV[start : start + _CHUNK]
        encoded = model.encode(Bags.of(points, device)).cpu().numpy()
        own = np.full(len(encoded), NOTHING, np.int32) if own_N is None else own_N[start : start + _CHUNK]
        pairs = search(index, candidates, encoded, k + 1)
        if evidence is not None and model.config.evidence_weight:
            bonus = bonus_of(evidence.co_clicks(points), model.config)
            pairs = add_evidence(pairs, bonus, encoded, classifiers_LD)
        row, label, score = pairs
        kept = (label != own[row]) & allowed_L[label]
        found.append(best_per_row(row[kept], label[kept], score[kept], len(encoded), k))
    labels_NK, scores_NK = zip(*found, strict=True)
    return np.concatenate(labels_NK), np.concatenate(scores_NK)


class Pairs(NamedTuple):
    """Scored pairs of a point and a label, in no order."""

    row: Rows
    label: Rows
    score: Floats


def search(index: faiss.Index, candidates: Rows, encoded_ND: Floats, k: int) -> Pairs:
    """The k best-scored of the indexed candidates for every encoded point."""
    scores_NK, positions_NK = index.search(encoded_ND, k)
    row, place = np.nonzero(positions_NK >= 0)
    return Pairs(row.astype(np.int32), candidates[positions_NK[row, place]], scores_NK[row, place])


def add_evidence(pairs: Pairs, bonus: sp.csr_matrix, encoded_ND: Floats, classifiers_LD: Floats) -> Pairs:
    """The model's best pairs and all pairs with evidence, bonus added.

    Nothing is missed: a label without a bonus is beaten by those that the model alone ranks above it.
    """
    row, label = rows_of(bonus), bonus.indices.astype(np.int32)
    labels = np.int64(len(classifiers_LD))
    known = np.isin(pairs.row * labels + pairs.label, row * labels + label)
    score = inner_products(encoded_ND, classifiers_LD, row, label) + bonus.data
    return Pairs(*(np.concatenate([a[~known], b]) for a, b in zip(pairs, (row, label, score), strict=True)))


@numba.njit(parallel=True, cache=True)
def inner_products(encoded_ND: Floats, classifiers_LD: Floats, row: Rows, label: Rows) -> Floats:
    """<encoded_ND[row], classifiers_LD[label]> of every pair, without gathering either."""
    scores = np.empty(len(row), np.float32)
    for pair in numba.prange(len(row)):
        total = np.float32(0)
        for d in range(encoded_ND.shape[1]):
            total += encoded_ND[row[pair], d] * classifiers_LD[label[pair], d]
        scores[pair] = total
    return scores


def build_index(classifiers_CD: Floats, device: torch.device) -> faiss.Index:
    """A maximum-inner-product index: exact up to EXACT_BELOW classifiers, then inverted lists (IVF), seeded.

    On the GPU where the model is on one and faiss has a GPU build.
    """
    labels, dim = classifiers_CD.shape
    index: faiss.Index = faiss.IndexFlatIP(dim)
    if labels > EXACT_BELOW:
        lists = int(4 * labels**0.5)
        index = faiss.IndexIVFFlat(index, dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(1, int(lists * SEARCHED_LISTS))
        index.train(classifiers_CD)
    index.add(classifiers_CD)
    on_gpu = device.type == "cuda" and hasattr(faiss, "get_num_gpus") and faiss.get_num_gpus()
    return faiss.index_cpu_to_all_gpus(index) if on_gpu else index


def build_quick_index(classifiers_LD: Floats) -> faiss.Index:
    """An index over 16-bit copies, for one title at a time: reading the classifiers is all that such a search does."""
    index = faiss.IndexScalarQuantizer(
        classifiers_LD.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.train(classifiers_LD)
    index.add(classifiers_LD)
    return index
