"""What the model learns of a log: the pairs of products that met, weighed by what the night's lists aim at."""

from typing import Literal

import numpy as np
import scipy.sparse as sp

from eclare.arrays.products import keep_heaviest
from eclare.related.cooccurrence import Cooccurrence

Goal = Literal["related", "basket"]

# Of a product's own sessions that its pairs are divided by: at 0.5 a pair weighs as its cosine does.
DAMPING: dict[Goal, float] = {"related": 0.5, "basket": 0.0}


def model_targets(known: Cooccurrence, goal: Goal, half_life_days: float, max_related: int) -> sp.csr_matrix:
    """Sessions of every pair, each halved every half_life_days, over a power of the related product's own; CSR P x P.

    The `max_related` heaviest of a query stay. Best sellers are in every basket: counts tell the model of them what
    they tell of a pair that belongs together, and counts are known without a model.
    """
    weights_PP = known.matrix(half_life_days)
    popularity_P = np.maximum(known.popularity(half_life_days), 1)
    weights_PP.data = (weights_PP.data / popularity_P[weights_PP.indices] ** DAMPING[goal]).astype(np.float32)
    return keep_heaviest(weights_PP, max_related)
