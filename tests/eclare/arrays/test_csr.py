import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.csr import with_largest_one, with_sum_one

MATRICES = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 7)), elements=st.integers(0, 4))


@given(MATRICES)
def test_rows_are_scaled_and_empty_ones_stay_empty(dense) -> None:
    some = dense.sum(axis=1) > 0
    assert np.allclose(with_sum_one(sp.csr_matrix(dense)).sum(axis=1).ravel(), some)
    assert np.allclose(with_largest_one(sp.csr_matrix(dense)).max(axis=1).toarray().ravel(), some)
