"""How evenly a version shows products: what share of the first places the products shown most hold together."""

import numpy as np

from eclare.arrays.topk import PAD
from eclare.evaluation.lists import first_places
from eclare.related.recommendations import Recommendations


def exposure_of(made: Recommendations) -> list[tuple[int, float]]:
    """Products (1, 2, 5, 10, ..., all that are shown) and their share of the first places; none without a row."""
    first = first_places(made.labels_NK)
    places = np.sort(np.bincount(first[first != PAD], minlength=1))[::-1]
    shown = int((places > 0).sum())
    held = np.cumsum(places) / max(int(places.sum()), 1)
    steps = [step * 10**power for power in range(len(str(shown))) for step in (1, 2, 5) if step * 10**power < shown]
    return [(products, min(1.0, float(held[products - 1]))) for products in (*steps, shown) if products]
