"""Where each recommendation comes from."""

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import CSRStack, Rows
from eclare.arrays.products import look_up
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.recommendations import SOURCES

MODEL, CO_CLICK, COLD = (np.int8(SOURCES.index(name)) for name in ("model", "co-click", "cold"))


def sources_of(labels_PK: Rows, pairs: Cooccurrence) -> npt.NDArray[np.int8]:
    """Places in SOURCES of the ranked labels of all P products, P x K.

    co-click: both products were met in one session; cold: the product has no session, it is known by its title alone;
    model: all others.
    """
    together = pairs.together()
    pattern = CSRStack(together.indptr.astype(np.int32), together.indices.astype(np.int32), together.data[:, None])
    met_PK = look_up(pattern, np.arange(len(labels_PK), dtype=np.int32), labels_PK)[..., 0] > 0
    unseen_P = pairs.popularity() == 0
    return np.where(met_PK, CO_CLICK, np.where(unseen_P[:, None], COLD, MODEL)).astype(np.int8)
