import numpy as np
import pytest
import scipy.sparse as sp

from eclare.related.cooccurrence import Cooccurrence
from eclare.related.targets import model_targets

CHOSEN = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]], np.float32)
AGES = np.array([0, 45, 90])


@pytest.mark.parametrize(("goal", "power"), [("basket", 0.0), ("related", 0.5)])
def test_a_pair_weighs_its_sessions_over_a_power_of_the_related_products_own(goal, power) -> None:
    known = Cooccurrence.of_sessions(sp.csr_matrix(CHOSEN), AGES)
    decayed = CHOSEN * 0.5 ** (AGES / 45)[:, None]
    together = decayed.T @ CHOSEN * (1 - np.eye(4))
    expected = together / np.maximum(decayed.sum(axis=0), 1) ** power
    assert model_targets(known, goal, 45.0, 3).toarray() == pytest.approx(expected)
    heaviest = model_targets(known, goal, 45.0, 1)
    assert np.diff(heaviest.indptr).tolist() == [1, 1, 1, 1]
    assert heaviest.data == pytest.approx(expected.max(axis=1))
