"""Labels that share points: how likely a shopper who chose one label also meets the other."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import scale_rows, with_largest_one
from eclare.arrays.products import heaviest_of_product


def co_occurring_labels(weights_NL: sp.csr_matrix, heaviest: int, damping: float = 0.0) -> sp.csr_matrix:
    """For every label the labels that share most of its points, CSR float32 L x L without a diagonal, row maximum 1.

    An entry is the chance to go from the label to one of its points and on to the other label, D_L^-1 Y^T D_N^-1 Y
    (the targets of Gandalf, Kharbanda et al., KDD 2024), over the other label's number of clicks to the power
    `damping`, which favours rare labels. Only the `heaviest` of each row stay.
    """
    onwards = scale_rows(weights_NL, _inverse(weights_NL.sum(axis=1)))
    onwards = sp.csr_matrix(onwards @ sp.diags_array(_inverse(weights_NL.sum(axis=0)) ** damping))
    return with_largest_one(heaviest_of_product(weights_NL.T.tocsr(), onwards, heaviest, with_diagonal=False))


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
