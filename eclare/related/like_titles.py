"""Which products have titles like a product's: its nearest titles, weighted."""

import numpy as np
import scipy.sparse as sp

from eclare.arrays.knn import Nearest

NEIGHBOURS, LEAST_COSINE, SHARPNESS = 20, 0.4, 8  # how many, how near, power of the cosine


def like_titles(titles_PV: sp.csr_matrix) -> sp.csr_matrix:
    """Cosines of the nearest titles to the power SHARPNESS, CSR P x P; a product is not like itself.

    titles_PV: CSR TF-IDF with rows of norm 1 or 0.
    """
    found, cosines = Nearest(titles_PV).to(titles_PV, NEIGHBOURS + 1, LEAST_COSINE)
    cosines = np.where(found == np.arange(len(found))[:, None], 0, np.minimum(cosines, 1))
    row, place = np.nonzero(cosines)
    weights = (cosines[row, place] ** SHARPNESS).astype(np.float32)
    return sp.csr_matrix((weights, (row, found[row, place])), shape=(len(found), len(found)))
