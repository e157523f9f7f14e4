"""What a trained model computes: encoded points, label classifiers, and indexes over them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sp
import torch

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.inner_products import chosen_inner_products
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD
from eclare.model.data import Texts
from eclare.model.exact_index import ExactIndex, Index
from eclare.model.network import ECLARE, Bags, LabelRows

CHUNK = 8192  # rows in memory at a time
QUICK_EXACT_BELOW = 10_000  # classifiers; reading more of them would take a title milliseconds
QUANTISED_FROM = 4096  # classifiers that the levels of product quantisation are learnt from


@torch.no_grad()
def encoded_by(model: ECLARE, points_NV: sp.csr_matrix) -> Floats:
    """Points from their titles, N x D."""
    return np.asarray(model.encode(Bags.of(points_NV, model.device)).cpu().numpy())


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
    labels = texts.labels_LV.shape[0]
    texts_LD = model.embed(Bags.of(texts.labels_LV, model.device))
    computed = []
    for start in range(0, labels, CHUNK):
        rows = torch.arange(start, min(start + CHUNK, labels), device=model.device)
        edges = Bags.of(texts.edges_LL[start : start + CHUNK], model.device)
        computed.append(compute(LabelRows(rows, rows, edges), texts_LD))
    return np.asarray(torch.cat(computed).cpu().numpy())


@contextmanager
def one_thread() -> Iterator[None]:
    """Waking other threads up costs more than a single title does."""
    of_numba, of_torch = numba.get_num_threads(), torch.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(of_numba)
        torch.set_num_threads(of_torch)


def top_rows(model: ECLARE, texts: Texts, points_NV: sp.csr_matrix, k: int) -> Rows:
    """The k best labels of every point, N x min(k, L), best first."""
    index = build_index(classifiers_of(model, texts), model.device)
    k = min(k, index.ntotal)
    found_NK = np.empty((points_NV.shape[0], k), np.int32)
    for start in range(0, len(found_NK), CHUNK):
        chunk = slice(start, start + CHUNK)
        found_NK[chunk] = index.search(encoded_by(model, points_NV[chunk]), k)[1]
    return found_NK


def build_index(classifiers_CD: Floats, device: torch.device) -> Index:
    """Exact maximum-inner-product search: on a GPU where the model is on one, by faiss on a CPU."""
    if device.type == "cuda":
        return ExactIndex(classifiers_CD, device)
    import faiss  # here: a host with a GPU needs none

    index = faiss.IndexFlatIP(classifiers_CD.shape[1])
    index.add(classifiers_CD)
    return index


def nearest_rows(
    index: Index, rows: Rows, queries_QD: Floats, vectors_MD: Floats, looked_up: int
) -> tuple[Rows, Floats]:
    """Rows that a quick index of the vectors of `rows` finds near every query, and their inner products.

    Q x looked_up, PAD and 0 where there are fewer, in no order: an index that is quantised knows which are near, not
    which is nearest.
    """
    places = index.search(queries_QD, min(looked_up, index.ntotal))[1]
    found_QK = np.where(places == PAD, PAD, rows[np.maximum(places, 0)]).astype(np.int32)
    return found_QK, np.where(found_QK == PAD, np.float32(0), chosen_inner_products(queries_QD, vectors_MD, found_QK))


def best_first(rows_QK: Rows, scores_QK: Floats, k: int) -> tuple[Rows, Floats]:
    """The k rows of the highest scores of every query, highest first, ties by lower row."""
    order = np.lexsort((rows_QK, -scores_QK), axis=1)[:, :k]
    return np.take_along_axis(rows_QK, order, axis=1), np.take_along_axis(scores_QK, order, axis=1)


def build_quick_index(classifiers_LD: Floats, device: torch.device) -> Index:
    """An index whose scores are computed again, for more labels than wanted, so that quantisation loses next to none.

    Exact up to QUICK_EXACT_BELOW classifiers and on a GPU; above, product quantisation of one number each to one of 16
    levels, so that a search reads an eighth.
    """
    if device.type == "cuda" or len(classifiers_LD) <= QUICK_EXACT_BELOW:
        return build_index(classifiers_LD, device)
    import faiss

    labels, dim = classifiers_LD.shape
    index = faiss.IndexPQFastScan(dim, dim, 4, faiss.METRIC_INNER_PRODUCT)
    drawn = np.random.default_rng(0).choice(labels, QUANTISED_FROM, replace=False)
    index.train(classifiers_LD[drawn])
    index.add(classifiers_LD)
    return index
