"""Fingerprints of what something was made from."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import scipy.sparse as sp

from eclare.model.config import ECLAREConfig


def hash_of(matrices: Iterable[sp.csr_matrix]) -> str:
    """SHA-256 of sparse matrices: shapes, places and values."""
    total = hashlib.sha256()
    for matrix in matrices:
        total.update(repr(matrix.shape).encode())
        for part in (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data):
            total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def hash_of_config(config: ECLAREConfig) -> str:
    """SHA-256 of every option."""
    return hash_of_bytes(json.dumps(asdict(config), sort_keys=True).encode())


def hash_of_bytes(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()
