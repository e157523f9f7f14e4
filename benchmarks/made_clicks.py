"""Clicks and titles of any size, drawn from the laws that real ones follow."""

from enum import StrEnum

import numpy as np
import scipy.sparse as sp

WORDS, WORDS_PER_TITLE = 40_000, 6


class Shape(StrEnum):
    """Points, labels and clicks a point of the data sets of the Extreme Classification Repository."""

    SMALL = "small"
    LF_AMAZON_TITLES_131K = "131k"
    LF_WIKI_SEE_ALSO_TITLES_320K = "320k"
    LF_AMAZON_TITLES_1_3M = "1.3m"


SIZES = {
    Shape.SMALL: (7_000, 3_800, 8.0),
    Shape.LF_AMAZON_TITLES_131K: (294_805, 131_073, 2.29),
    Shape.LF_WIKI_SEE_ALSO_TITLES_320K: (693_082, 312_330, 2.11),
    Shape.LF_AMAZON_TITLES_1_3M: (2_248_619, 1_305_265, 22.2),
}


def clicks(points: int, labels: int, per_point: float, seed: int = 0) -> sp.csr_matrix:
    """Points x labels, CSR float32: `per_point` labels a point on average, near one another, some far more popular."""
    random = np.random.default_rng(seed)
    count = np.maximum(random.poisson(per_point, points), 1)
    row = np.repeat(np.arange(points), count)
    centre = (np.arange(points) * (labels / points)).astype(np.int64)[row]
    near = centre + random.geometric(0.02, len(row)) * random.choice([-1, 1], len(row))
    popular = (labels * random.random(len(row)) ** 4).astype(np.int64)
    label = np.where(random.random(len(row)) < 0.8, near, popular) % labels
    matrix = sp.csr_matrix((np.ones(len(row), np.float32), (row, label)), shape=(points, labels))
    matrix.data[:] = 1
    return matrix


def titles(rows: int, seed: int = 0) -> list[str]:
    """Six words a title, a few of them very common (Zipf), neighbours share the rarer ones."""
    random = np.random.default_rng(seed)
    common = np.minimum(random.zipf(1.3, (rows, WORDS_PER_TITLE - 2)), WORDS)
    near = (np.arange(rows) * 0.25).astype(int)[:, None] + random.integers(0, 3, (rows, 2))
    return [" ".join([*(f"w{w}" for w in a), *(f"n{n}" for n in b)]) for a, b in zip(common, near, strict=True)]
