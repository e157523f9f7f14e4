import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.topk import PAD
from eclare.evaluation.baselines import co_clicks

P = 6


@given(arrays(np.int8, (P, P), elements=st.integers(0, 3)), arrays(np.bool_, P), st.integers(1, P + 1))
def test_the_heaviest_allowed_clicks_come_first(weights: np.ndarray, allowed: np.ndarray, k: int) -> None:
    own = np.arange(P, dtype=np.int32)
    labels, scores = co_clicks(sp.csr_matrix(weights.astype(np.float32)), k, allowed, own)
    for point in range(P):
        right = sorted((-weights[point, x], x) for x in range(P) if weights[point, x] and allowed[x] and x != point)[:k]
        assert labels[point].tolist() == [label for _, label in right] + [PAD] * (k - len(right))
        assert scores[point].tolist() == [-w for w, _ in right] + [0] * (k - len(right))
