"""Which products have titles that say the same in other words: nearest vectors of a sentence encoder, weighted."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.inner_products import chosen_inner_products
from eclare.arrays.topk import PAD
from eclare.model.inference import CHUNK, best_first, build_quick_index, nearest_rows
from eclare.related.like_titles import NEIGHBOURS, SHARPNESS

LEAST_COSINE = 0.4
LOOKED_UP = 2 * NEIGHBOURS + 1  # of an index that may be quantised: one may be the product itself


@dataclass(frozen=True, eq=False)
class ProductSentences:
    """The vectors of P titles, of norm 1 or 0, and which products that clicks say something of are like each.

    like_PP: CSR, as like_titles makes it of words.
    """

    vectors_PE: Floats
    like_PP: sp.csr_matrix

    @classmethod
    def of(cls, vectors_PE: Floats, paired_P: npt.NDArray[np.bool_], device: torch.device) -> "ProductSentences":
        """paired_P: which products have a pair (Cooccurrence.paired)."""
        return cls(vectors_PE, _like(vectors_PE, paired_P, device))

    def cosines(self, queries: Rows, products_QC: Rows) -> Floats:
        """Of every query and its products, Q x C; 0 for PAD."""
        cosines_QC = chosen_inner_products(self.vectors_PE[queries], self.vectors_PE, products_QC)
        return np.where(products_QC == PAD, np.float32(0), cosines_QC)


def _like(vectors_PE: Floats, paired_P: npt.NDArray[np.bool_], device: torch.device) -> sp.csr_matrix:
    paired, products = np.flatnonzero(paired_P).astype(np.int32), len(vectors_PE)
    if not len(paired):
        return sp.csr_matrix((products, products), dtype=np.float32)
    index, found = build_quick_index(vectors_PE[paired], device), []
    for start in range(0, products, CHUNK):
        queries = np.arange(start, min(start + CHUNK, products), dtype=np.int32)
        others, cosines = nearest_rows(index, paired, vectors_PE[queries], vectors_PE, LOOKED_UP)
        cosines[(others == queries[:, None]) | (cosines < LEAST_COSINE)] = 0
        found.append(best_first(others, cosines, NEIGHBOURS))
    others, cosines = (np.concatenate(each) for each in zip(*found, strict=True))
    row, place = np.nonzero(cosines)
    weights = (np.minimum(cosines[row, place], 1) ** SHARPNESS).astype(np.float32)
    return sp.csr_matrix((weights, (row, others[row, place])), shape=(products, products))
