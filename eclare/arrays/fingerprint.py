"""Fingerprints of what something was made from."""

import hashlib
from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp


def hash_of_matrices(matrices: Iterable[sp.csr_matrix]) -> str:
    """SHA-256 of sparse matrices: shapes, places and values."""
    total = hashlib.sha256()
    for matrix in matrices:
        total.update(repr(matrix.shape).encode())
        for part in (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data):
            total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def hash_of_bytes(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()
