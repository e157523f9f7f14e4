"""The rival that every model must beat: recommend what was clicked most beside the point."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import rows_of
from eclare.arrays.topk import best_per_row


def co_clicks(
    weights_NL: sp.csr_matrix, k: int, allowed_L: npt.NDArray[np.bool_], own_N: npt.NDArray[np.int32] | None = None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The k allowed labels with the heaviest clicks of every point, N x k, heaviest first, ties by lower label row.

    own_N: the label that is the point itself and must not come back, if there is one. Points with fewer clicked labels
    than k end with PAD and score 0.
    """
    row, label = rows_of(weights_NL), weights_NL.indices
    kept = allowed_L[label] if own_N is None else allowed_L[label] & (label != own_N[row])
    return best_per_row(row[kept], label[kept], weights_NL.data[kept], weights_NL.shape[0], k)
