import numpy as np
import scipy.sparse as sp

from eclare.arrays.topk import PAD
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.recommendations import SOURCES
from eclare.related.sources import sources_of


def test_a_source_is_what_the_sessions_say():
    sessions = [[0, 1], [1, 2, 3], [4]]
    chosen = sp.csr_matrix(
        (np.ones(6), ([0, 0, 1, 1, 1, 2], [product for session in sessions for product in session])), shape=(3, 6)
    )
    pairs = Cooccurrence.of_sessions(chosen, np.array([0, 3, 1]))
    labels = np.array([[1, 2], [5, 3], [3, PAD], [0, 2], [0, 1], [0, 1]], np.int32)
    named = [[SOURCES[place] for place in row] for row in sources_of(labels, pairs)]
    assert named == [
        ["co-click", "model"], ["model", "co-click"], ["co-click", "model"], ["model", "co-click"],
        ["model", "model"],  # a session of its own, with nothing else in it
        ["cold", "cold"],
    ]  # fmt: skip
