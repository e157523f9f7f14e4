"""Exact search for the largest inner products on the device of a model, which may be a GPU."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from eclare.arrays.csr import Floats
from eclare.arrays.topk import PAD

SCORES_AT_ONCE = 2**28  # float32 numbers in a device's memory: 1 GiB
QUERIES_AT_ONCE = 1024

Places = npt.NDArray[np.int64]


class Index(Protocol):
    """What is asked of an index over classifiers, faiss' or ours."""

    @property
    def ntotal(self) -> int:
        """Classifiers in it."""

    def search(self, encoded_QD: Floats, k: int) -> tuple[Floats, Places]:
        """The k largest inner products of every query and where they are, best first; PAD where there are fewer."""


class ExactIndex:
    """Every score is computed, in float32, some labels at a time, of which the best are kept.

    On a GPU instead of faiss, whose GPU indexes find 2,048 labels at most and bring a CUDA of their own.
    """

    def __init__(self, classifiers_LD: Floats, device: torch.device) -> None:
        self._classifiers_LD = torch.from_numpy(np.ascontiguousarray(classifiers_LD)).to(device)

    @property
    def ntotal(self) -> int:
        """L."""
        return len(self._classifiers_LD)

    @torch.no_grad()
    def search(self, encoded_QD: Floats, k: int) -> tuple[Floats, Places]:
        """Q x k, as Index says."""
        scores_QK = np.full((len(encoded_QD), k), -np.inf, np.float32)
        places_QK = np.full((len(encoded_QD), k), PAD, np.int64)
        kept = min(k, self.ntotal)
        for start in range(0, len(encoded_QD), QUERIES_AT_ONCE):
            queries = slice(start, start + QUERIES_AT_ONCE)
            encoded = torch.from_numpy(np.ascontiguousarray(encoded_QD[queries])).to(self._classifiers_LD.device)
            scores, places = self._best(encoded, kept)
            scores_QK[queries, :kept], places_QK[queries, :kept] = scores.cpu().numpy(), places.cpu().numpy()
        return scores_QK, places_QK

    def _best(self, encoded_QD: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels_at_once = max(1, SCORES_AT_ONCE // len(encoded_QD))
        scores_QK = encoded_QD.new_empty((len(encoded_QD), 0))
        places_QK = torch.empty_like(scores_QK, dtype=torch.int64)
        for start in range(0, self.ntotal, labels_at_once):
            scores_QC = encoded_QD @ self._classifiers_LD[start : start + labels_at_once].T
            best = scores_QC.topk(min(k, scores_QC.shape[1]), dim=1)
            scores_QK = torch.cat([scores_QK, best.values], dim=1)
            places_QK = torch.cat([places_QK, best.indices + start], dim=1)
            best = scores_QK.topk(min(k, scores_QK.shape[1]), dim=1)
            scores_QK, places_QK = best.values, places_QK.gather(1, best.indices)
        return scores_QK, places_QK
