"""Which products that clicks say something of have titles like a product's: its nearest titles, weighted."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.knn import Nearest

NEIGHBOURS, LEAST_COSINE, SHARPNESS = 20, 0.4, 8  # how many, how near, power of the cosine


def like_titles(titles_PV: sp.csr_matrix, paired_P: npt.NDArray[np.bool_]) -> sp.csr_matrix:
    """Cosines of the nearest titles to the power SHARPNESS, CSR P x P; a product is not like itself.

    titles_PV: CSR TF-IDF with rows of norm 1 or 0. paired_P: which products have a pair; others would take up places
    and tell nothing (Cooccurrence.paired).
    """
    paired, shape = np.flatnonzero(paired_P).astype(np.int32), (len(paired_P), len(paired_P))
    if not len(paired):
        return sp.csr_matrix(shape, dtype=np.float32)
    found, cosines = Nearest(titles_PV[paired]).to(titles_PV, NEIGHBOURS + 1, LEAST_COSINE)
    products = paired[found]
    cosines = np.where(products == np.arange(len(products))[:, None], 0, np.minimum(cosines, 1))
    row, place = np.nonzero(cosines)
    weights = (cosines[row, place] ** SHARPNESS).astype(np.float32)
    return sp.csr_matrix((weights, (row, products[row, place])), shape=shape)
