"""The best labels of every point, exactly: a maximum inner-product search over all label classifiers."""

import math

import faiss
import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from eclare.model import ECLARE, Bags
from eclare.recommendations import NOTHING
from eclare.train import Texts

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]

_CHUNK = 8192  # rows in memory at a time


@torch.no_grad()
def classifiers_of(model: ECLARE, texts: Texts) -> Floats:
    """All label classifiers w_l, L x D."""
    device = model.refinement.weight.device
    chunks = np.array_split(np.arange(texts.labels_LV.shape[0]), math.ceil(texts.labels_LV.shape[0] / _CHUNK))
    mixed = [
        model.classifiers(
            torch.from_numpy(rows).to(device),
            Bags.of(texts.labels_LV[rows], device),
            Bags.of(texts.neighbours_LV[rows], device),
        )
        for rows in chunks
    ]
    return np.asarray(torch.cat(mixed).cpu().numpy())


@torch.no_grad()
def top_labels(
    model: ECLARE, texts: Texts, k: int, allowed_L: npt.NDArray[np.bool_], own_N: Rows | None = None
) -> tuple[Rows, Floats]:
    """The k best allowed labels of every point and their scores, N x k, best first, ties by lower label row.

    own_N: the label that is the point itself and must not come back, if there is one. Where fewer than k labels are
    left, a row ends with NOTHING and score 0.
    """
    candidates = np.flatnonzero(allowed_L).astype(np.int32)
    index = _index(classifiers_of(model, texts)[candidates], model.refinement.weight.device)
    points, device = texts.points_NV, model.refinement.weight.device
    found: list[tuple[Rows, Floats]] = []
    for start in tqdm(range(0, points.shape[0], _CHUNK), desc="recommend", unit="chunk", disable=None):
        encoded = model.encode(Bags.of(points[start : start + _CHUNK], device)).cpu().numpy()
        scores, positions = index.search(encoded, k + 1)
        labels = np.where(positions >= 0, candidates[positions], NOTHING).astype(np.int32)
        own = np.full(len(labels), NOTHING, np.int32) if own_N is None else own_N[start : start + _CHUNK]
        found.append(_without(own, labels, scores, k))
    labels_NK, scores_NK = zip(*found, strict=True)
    return np.concatenate(labels_NK), np.concatenate(scores_NK)


def _index(classifiers_CD: Floats, device: torch.device) -> faiss.Index:
    index = faiss.IndexFlatIP(classifiers_CD.shape[1])
    index.add(classifiers_CD)
    return faiss.index_cpu_to_all_gpus(index) if device.type == "cuda" and faiss.get_num_gpus() else index


def _without(own_N: Rows, labels_NK: Rows, scores_NK: Floats, k: int) -> tuple[Rows, Floats]:
    """Move each point's own label and missing ones to the end, order ties by label, cut to k."""
    dropped = (labels_NK == own_N[:, None]) | (labels_NK == NOTHING)
    labels, scores = np.where(dropped, NOTHING, labels_NK), np.where(dropped, np.float32(0), scores_NK)
    order = np.lexsort((labels, -scores, dropped), axis=1)[:, :k]
    return np.take_along_axis(labels, order, axis=1), np.take_along_axis(scores, order, axis=1)
