"""The rival that every model must beat: recommend what was clicked most beside the point."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.recommendations import NOTHING


def co_clicks(
    weights_NL: sp.csr_matrix, k: int, allowed_L: npt.NDArray[np.bool_], own_N: npt.NDArray[np.int32] | None = None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The k allowed labels with the heaviest clicks of every point, N x k, heaviest first, ties by lower label row.

    own_N: the label that is the point itself and must not come back, if there is one. Points with fewer clicked labels
    than k end with NOTHING and score 0.
    """
    points = weights_NL.shape[0]
    row = np.repeat(np.arange(points, dtype=np.int32), np.diff(weights_NL.indptr))
    label, weight = weights_NL.indices, weights_NL.data
    kept = allowed_L[label] if own_N is None else allowed_L[label] & (label != own_N[row])
    row, label, weight = row[kept], label[kept], weight[kept]
    order = np.lexsort((label, -weight, row))
    row, label, weight = row[order], label[order], weight[order]
    first_of_row = np.searchsorted(row, np.arange(points))
    place = np.arange(len(row)) - first_of_row[row]
    labels_NK = np.full((points, k), NOTHING, np.int32)
    scores_NK = np.zeros((points, k), np.float32)
    best = place < k
    labels_NK[row[best], place[best]] = label[best]
    scores_NK[row[best], place[best]] = weight[best]
    return labels_NK, scores_NK
