"""Lists that came out short, filled up with what is popular: in the product's category first, then everywhere."""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.topk import PAD
from eclare.related.recommendations import SOURCES

CATEGORY, POPULAR = SOURCES.index("category"), SOURCES.index("popular")


class Popular(NamedTuple):
    """Products that may be recommended, most popular first: of each category, and of all.

    category_P: that of every product, -1 for none; those of category c are in_category[starts[c]:starts[c + 1]].
    """

    category_P: Rows
    starts: Rows
    in_category: Rows
    everywhere: Rows

    @classmethod
    def of(cls, popularity_P: npt.NDArray[np.float32], allowed_P: npt.NDArray[np.bool_], category_P: Rows) -> "Popular":
        """Products without a click are nobody's fallback; ties go to the lower row."""
        liked = np.flatnonzero(allowed_P & (popularity_P > 0)).astype(np.int32)
        everywhere = liked[np.argsort(-popularity_P[liked], kind="stable")]
        in_some = everywhere[category_P[everywhere] >= 0]
        in_category = in_some[np.argsort(category_P[in_some], kind="stable")]
        starts = np.searchsorted(category_P[in_category], np.arange(category_P.max(initial=-1) + 2)).astype(np.int32)
        return cls(category_P, starts, in_category, everywhere)


def fill_up(
    labels_PK: Rows, scores_PK: Floats, popular: Popular, most_of_category: int = 0
) -> tuple[Rows, Floats, npt.NDArray[np.int8]]:
    """Lists without gaps, as far as there are products: labels, scores, and for what was added its place in SOURCES.

    What is added has the score of the last ranked label (0 where there is none) and keeps to the limit of labels of
    one category, 0 for none. A product is never its own answer, and no label comes twice.
    """
    labels, scores = labels_PK.copy(), scores_PK.copy()
    added = np.full(labels.shape, -1, np.int8)
    short = np.flatnonzero((labels == PAD).any(axis=1)).astype(np.int32)
    _fill(short, (labels, scores, added), tuple(popular), most_of_category)
    return labels, scores, added


@numba.njit(cache=True)
def _fill(
    short: Rows, lists: tuple[Rows, Floats, npt.NDArray[np.int8]], popular: tuple[Rows, Rows, Rows, Rows], most: int
) -> None:
    labels, scores, added = lists
    category_P, starts, in_category, everywhere = popular
    for product in short:
        filled = 0
        while labels[product, filled] != PAD:
            filled += 1
        score, category = scores[product, filled - 1] if filled else np.float32(0), category_P[product]
        own = in_category[starts[category] : starts[category + 1]] if category >= 0 else in_category[:0]
        for source, liked in ((CATEGORY, own), (POPULAR, everywhere)):
            for label in liked:
                if filled == labels.shape[1]:
                    break
                same, taken = 0, label == product
                for place in range(filled):
                    taken |= labels[product, place] == label
                    same += category_P[label] >= 0 and category_P[labels[product, place]] == category_P[label]
                if not taken and not (most and same >= most):
                    labels[product, filled], scores[product, filled], added[product, filled] = label, score, source
                    filled += 1
