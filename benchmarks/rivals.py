"""Simple systems that shops run for related products, each a published method of a few lines."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg.lapack import spotrf, spotri

from eclare.arrays.csr import Rows, rows_of
from eclare.evaluation.baselines import Known, cosine, observed_minus_expected

DAMPINGS = (0.3, 0.5)  # powers of popularity that co-counts are divided by
BM25_K1, BM25_B = 1.2, 0.75
RP3_BETA = 0.3
EASE_PENALTY, MOST_PRODUCTS_OF_EASE = 200.0, 12_000  # it inverts a dense matrix of products


class Log(NamedTuple):
    """Sessions before a cut: which products each held, S x P, and the sessions that held both of two, P x P."""

    held_SP: sp.csr_matrix
    shared_PP: sp.csr_matrix

    @property
    def sessions_P(self) -> npt.NDArray[np.float64]:
        """That held each product."""
        return np.asarray(self.held_SP.sum(axis=0), np.float64).ravel()


def scores_of_rivals(log: Log, queries: Rows) -> dict[str, sp.csr_matrix]:
    """How related every rival finds the products to each query, CSR Q x P, by its name; higher is better."""
    everything_P = np.ones(log.held_SP.shape[1], bool)
    known = Known(log.shared_PP, log.shared_PP, log.sessions_P.astype(np.float32), log.held_SP.shape[0], everything_P)
    scores = {
        "co-counts": log.shared_PP[queries],
        **{f"co-counts / popularity^{power}": damped(log, queries, power) for power in DAMPINGS},
        "cosine": cosine(known, queries),
        "observed - expected": observed_minus_expected(known, queries),
        "TF-IDF": _products(tf_idf(log.held_SP), queries),
        "BM25": _products(bm25(log.held_SP), queries),
        "RP3beta": rp3_beta(log, queries),
    }
    if len(everything_P) <= MOST_PRODUCTS_OF_EASE:
        scores["EASE"] = ease(log.held_SP, queries)
    return {name: _without_own(scores_QP, queries) for name, scores_QP in scores.items()}


def damped(log: Log, queries: Rows, power: float) -> sp.csr_matrix:
    """Shared sessions over a power of the related product's own: 0.5 ranks as cosine does, 1 as lift."""
    shared_QP = log.shared_PP[queries]
    shared_QP.data = shared_QP.data / np.maximum(log.sessions_P[shared_QP.indices], 1) ** power
    return shared_QP


def tf_idf(held_SP: sp.csr_matrix) -> sp.csr_matrix:
    """Every product as its sessions, those of few products counting more, of norm 1: CSR P x S."""
    idf_S = np.log(held_SP.shape[1]) - np.log1p(np.diff(held_SP.indptr))
    products_PS = sp.csr_matrix(held_SP.T @ sp.diags_array(idf_S))
    norm_P = np.sqrt(np.asarray(products_PS.multiply(products_PS).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array(1 / np.maximum(norm_P, 1e-12)) @ products_PS)


def bm25(held_SP: sp.csr_matrix) -> sp.csr_matrix:
    """Every product as its sessions by Okapi BM25, products as documents (Robertson, Zaragoza, 2009): CSR P x S."""
    products_PS = held_SP.T.tocsr()
    idf_S = np.log(products_PS.shape[0]) - np.log1p(np.diff(held_SP.indptr))
    length_P = np.diff(products_PS.indptr)
    norm_P = 1 - BM25_B + BM25_B * length_P / max(length_P.mean(), 1e-12)
    saturated = products_PS.data * (BM25_K1 + 1) / (BM25_K1 * norm_P[rows_of(products_PS)] + products_PS.data)
    data = saturated * idf_S[products_PS.indices]
    return sp.csr_matrix((data, products_PS.indices, products_PS.indptr), products_PS.shape)


def rp3_beta(log: Log, queries: Rows) -> sp.csr_matrix:
    """Chance of a walk product, session, product, over a power of the last one's popularity (Paudel et al., 2017)."""
    size_S, sessions_P = np.maximum(np.diff(log.held_SP.indptr), 1), np.maximum(log.sessions_P, 1)
    from_query = sp.diags_array(1 / sessions_P[queries]) @ log.held_SP.T.tocsr()[queries]
    walked = from_query @ sp.diags_array(1 / size_S) @ log.held_SP @ sp.diags_array(sessions_P**-RP3_BETA)
    return sp.csr_matrix(walked)


def ease(held_SP: sp.csr_matrix, queries: Rows) -> sp.csr_matrix:
    """Weights of a linear autoencoder without its diagonal (EASE; Steck, WWW 2019)."""
    gram_PP = np.asfortranarray((held_SP.T @ held_SP).toarray(), np.float32)
    gram_PP[np.diag_indices_from(gram_PP)] += EASE_PENALTY
    # Of a symmetric positive matrix, in place: a third of the work of a general inverse.
    factor_PP, _ = spotrf(gram_PP, lower=True, overwrite_a=True)
    lower_PP, _ = spotri(factor_PP, lower=True, overwrite_c=True)
    below_PP = np.tril(lower_PP, -1)
    diagonal_P = np.diag(lower_PP)
    weights_QP = -(below_PP[queries] + below_PP.T[queries]) / diagonal_P
    return sp.csr_matrix(np.where(weights_QP > 0, weights_QP, 0))


def _products(rows_PS: sp.csr_matrix, queries: Rows) -> sp.csr_matrix:
    return sp.csr_matrix(rows_PS[queries] @ rows_PS.T)


def _without_own(scores_QP: sp.csr_matrix, queries: Rows) -> sp.csr_matrix:
    """No product is related to itself."""
    scores = scores_QP.tocoo()
    kept = (scores.col != queries[scores.row]) & (scores.data > 0)
    return sp.csr_matrix((scores.data[kept], (scores.row[kept], scores.col[kept])), scores.shape)
