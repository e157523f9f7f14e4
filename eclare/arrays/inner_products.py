"""Inner products of dense rows, for chosen pairs, and their softmax over the chosen ones."""

import numpy as np

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD

LEAST_LOG_SHARE = -100.0  # of a label among the candidates of a point


@numba.njit(cache=True)
def inner_product(encoded_D: Floats, classifier_D: Floats) -> np.float32:
    """Of four sums, which a processor adds side by side; in this order on every machine."""
    a = b = c = d = np.float32(0)
    whole = len(encoded_D) // 4 * 4
    for i in range(0, whole, 4):
        a += encoded_D[i] * classifier_D[i]
        b += encoded_D[i + 1] * classifier_D[i + 1]
        c += encoded_D[i + 2] * classifier_D[i + 2]
        d += encoded_D[i + 3] * classifier_D[i + 3]
    for i in range(whole, len(encoded_D)):
        a += encoded_D[i] * classifier_D[i]
    return (a + b) + (c + d)


@numba.njit(parallel=True, cache=True)
def inner_products(encoded_ND: Floats, classifiers_LD: Floats, row: Rows, label: Rows) -> Floats:
    """<encoded_ND[row], classifiers_LD[label]> of every pair, without gathering either."""
    scores = np.empty(len(row), np.float32)
    for pair in numba.prange(len(row)):
        scores[pair] = inner_product(encoded_ND[row[pair]], classifiers_LD[label[pair]])
    return scores


def chosen_inner_products(encoded_QD: Floats, classifiers_LD: Floats, labels_QC: Rows) -> Floats:
    """Of every row with its own labels, Q x C; without meaning for PAD."""
    row = np.repeat(np.arange(len(encoded_QD), dtype=np.int32), labels_QC.shape[1])
    scores = inner_products(encoded_QD, classifiers_LD, row, np.maximum(labels_QC, 0).ravel())
    return np.asarray(scores).reshape(labels_QC.shape)


@numba.njit(parallel=True, cache=True)
def log_shares(encoded_ND: Floats, classifiers_LD: Floats, labels_NC: Rows) -> Floats:
    """Log-softmax of inner products over every point's own labels, N x C.

    PAD takes no part and has the LEAST_LOG_SHARE, below which no share falls.
    """
    logs_NC = np.full(labels_NC.shape, np.float32(LEAST_LOG_SHARE), np.float32)
    for row in numba.prange(len(labels_NC)):
        places = np.flatnonzero(labels_NC[row] != PAD)
        if not len(places):
            continue
        scores = np.empty(len(places), np.float32)
        for i in range(len(places)):
            label = labels_NC[row, places[i]]
            scores[i] = inner_product(encoded_ND[row], classifiers_LD[label])
        scores -= scores.max()
        scores -= np.log(np.exp(scores).sum())
        for i in range(len(places)):
            logs_NC[row, places[i]] = max(scores[i], np.float32(LEAST_LOG_SHARE))
    return logs_NC
