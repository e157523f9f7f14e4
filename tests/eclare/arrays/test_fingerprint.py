import hashlib

import numpy as np
import pytest
import scipy.sparse as sp

from eclare.arrays.fingerprint import hash_of_bytes, hash_of_matrices

MATRIX = sp.csr_matrix(np.array([[1, 0, 2], [0, 3, 0]], np.float32))


@pytest.mark.parametrize(
    "changed",
    [
        sp.csr_matrix((MATRIX.data, MATRIX.indices, MATRIX.indptr), shape=(2, 4)),
        sp.csr_matrix((MATRIX.data + 1, MATRIX.indices, MATRIX.indptr)),
        sp.csr_matrix((MATRIX.data, [0, 1, 1], MATRIX.indptr), shape=(2, 3)),
        sp.csr_matrix((MATRIX.data, MATRIX.indices, [0, 1, 3]), shape=(2, 3)),
    ],
    ids=["shape", "data", "columns", "rows"],
)
def test_a_fingerprint_is_of_shape_places_and_values(changed) -> None:
    assert hash_of_matrices([MATRIX]) == hash_of_matrices([MATRIX.copy()])
    assert hash_of_matrices([MATRIX]) != hash_of_matrices([changed])


def test_wide_indices_have_the_fingerprint_of_narrow_ones() -> None:
    wide = MATRIX.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert hash_of_matrices([MATRIX]) == hash_of_matrices([wide])


def test_bytes_have_their_sha_256() -> None:
    assert hash_of_bytes(b"titles") == hashlib.sha256(b"titles").hexdigest()
