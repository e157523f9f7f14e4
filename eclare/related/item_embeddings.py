"""Item embeddings: products as vectors that point the same way where products go with the same others."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import eigsh

from eclare.arrays.csr import Floats, rows_of

DIMENSIONS = 64
EXACT_UP_TO = 2 * DIMENSIONS  # products, of which all eigenvectors are computed
UNSEEN = 1.0  # sessions added to what chance expects of a pair, so that a pair that met once proves little
TOLERANCE = 1e-3  # of eigenvalues; with it and 32 bits cosines differ by 2e-5 at most, in half the time
NOISE = 0.1  # squared length that a vector must have to be sure of where it points


def item_embeddings(sessions_PP: sp.csr_matrix, sessions_P: Floats, sessions: float) -> Floats:
    """Vectors of at most norm 1, P x DIMENSIONS or fewer; 0 for a product that met no other more often than chance.

    sessions_PP: those of every pair, symmetric or not; sessions_P: of every product; sessions: of all. The best
    factors of the positive pointwise mutual information are what item2vec approaches by sampling (Barkan, Koenigstein,
    2016; Levy, Goldberg, NIPS 2014, sections 3 and 5). The less is known of a product, the shorter its vector.
    """
    information_PP = _positive_information(sessions_PP, sessions_P, sessions)
    known = np.flatnonzero(np.diff(information_PP.indptr))  # a tenth of a catalogue: the solver need not see the others
    if not len(known):
        return np.zeros((len(sessions_P), 1), np.float32)
    values, vectors_KD = _largest_eigenpairs(information_PP[known][:, known])
    scaled_KD = vectors_KD * np.sqrt(np.maximum(values, 0))
    length_K1 = np.sqrt((scaled_KD**2).sum(axis=1, keepdims=True) + NOISE)
    embeddings_PD = np.zeros((len(sessions_P), len(values)), np.float32)
    embeddings_PD[known] = scaled_KD / length_K1
    return embeddings_PD


def _positive_information(sessions_PP: sp.csr_matrix, sessions_P: Floats, sessions: float) -> sp.csr_matrix:
    """log(sessions of a pair / those that chance expects), where it is above 0; symmetric."""
    row, column = rows_of(sessions_PP), sessions_PP.indices
    expected = sessions_P[row].astype(np.float64) * sessions_P[column] / max(sessions, 1.0)
    information = np.log(np.maximum(sessions_PP.data, 1e-9) / (expected + UNSEEN))
    one_way = sp.csr_matrix((np.maximum(information, 0), column, sessions_PP.indptr), shape=sessions_PP.shape)
    both_ways = sp.csr_matrix((one_way + one_way.T) / 2)
    both_ways.eliminate_zeros()
    return both_ways


def _largest_eigenpairs(symmetric_PP: sp.csr_matrix) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    if symmetric_PP.shape[0] <= EXACT_UP_TO:
        values, vectors_PD = np.linalg.eigh(symmetric_PP.toarray())
        return values[-DIMENSIONS:], vectors_PD[:, -DIMENSIONS:]
    start = np.random.default_rng(0).standard_normal(symmetric_PP.shape[0], np.float32)
    values, vectors_PD = eigsh(symmetric_PP.astype(np.float32), k=DIMENSIONS, which="LA", v0=start, tol=TOLERANCE)
    return values, vectors_PD
