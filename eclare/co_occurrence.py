"""Labels that share points: how likely a shopper who chose one label also meets the other."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.sparse import keep_heaviest, scale_rows, with_largest_one

_CHUNK = 4096  # labels in memory at a time


def co_occurring_labels(weights_NL: sp.csr_matrix, heaviest: int, damping: float = 0.0) -> sp.csr_matrix:
    """For every label the labels that share most of its points, CSR float32 L x L without a diagonal, row maximum 1.

    An entry is the chance to go from the label to one of its points and on to the other label, D_L^-1 Y^T D_N^-1 Y
    (the targets of Gandalf, Kharbanda et al., KDD 2024), over the other label's number of clicks to the power
    `damping`, which favours rare labels. Only the `heaviest` of each row stay.
    """
    onwards = scale_rows(weights_NL, _inverse(weights_NL.sum(axis=1)))
    onwards = sp.csr_matrix(onwards @ sp.diags_array(_inverse(weights_NL.sum(axis=0)) ** damping))
    return with_largest_one(_product_of_others(weights_NL, onwards, heaviest))


def shared_points(weights_NL: sp.csr_matrix, heaviest: int) -> sp.csr_matrix:
    """How many points two labels share, CSR float32 L x L without a diagonal; the `heaviest` of each row stay."""
    clicked = weights_NL.copy()
    clicked.data = np.ones_like(clicked.data)
    return _product_of_others(clicked, clicked, heaviest)


def _product_of_others(left_NL: sp.csr_matrix, right_NL: sp.csr_matrix, heaviest: int) -> sp.csr_matrix:
    """The heaviest entries of every row of left^T right beside the diagonal, a chunk of labels in memory at a time."""
    by_label = left_NL.T.tocsr()
    chunks = [
        keep_heaviest(_without_diagonal(by_label[start : start + _CHUNK] @ right_NL, start), heaviest)
        for start in range(0, by_label.shape[0], _CHUNK)
    ]
    return sp.vstack(chunks, format="csr")


def with_label_points(weights_NL: sp.csr_matrix, targets: int) -> sp.csr_matrix:
    """Clicks with L more points, the labels: each finds itself and the `targets` labels it shares most points with.

    The soft targets of Gandalf (Kharbanda et al., KDD 2024): own label 1, the others by their share of the heaviest.
    Labels without a click find nothing: most of a catalogue would otherwise teach that a title is like itself.
    """
    clicked = np.bincount(weights_NL.indices, minlength=weights_NL.shape[1]) > 0
    own = sp.diags_array(clicked.astype(np.float32))
    points = sp.vstack([weights_NL, co_occurring_labels(weights_NL, targets) + own], format="csr")
    points.eliminate_zeros()
    points.sort_indices()
    return points


def _inverse(total: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    flat = np.asarray(total, dtype=np.float64).ravel()
    return np.divide(1, flat, out=np.zeros_like(flat), where=flat > 0)


def _without_diagonal(rows: sp.csr_matrix, first: int) -> sp.csr_matrix:
    coo = rows.tocoo()
    kept = (coo.row + first != coo.col) & (coo.data > 0)
    return sp.csr_matrix((coo.data[kept], (coo.row[kept], coo.col[kept])), shape=rows.shape)
