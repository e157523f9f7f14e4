"""What clicks say directly: the labels that were met together with the labels whose titles a title resembles."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from eclare.co_occurrence import co_occurring_labels
from eclare.config import ECLAREConfig
from eclare.sparse import keep_heaviest, with_sum_one

KEPT_LABELS = 50  # co-occurring labels kept per label
SIMILAR_LABELS = 5  # labels whose titles speak for a title
SHARPNESS = 8  # power of the cosine of two titles: near-identical ones speak, vaguely similar ones do not
DAMPING = 0.25  # power of a label's popularity that its co-occurrence is divided by
FLOOR = 0.01  # evidence below which the model alone decides
_CHUNK = 2048  # titles in memory at a time


@dataclass(frozen=True, eq=False)
class Evidence:
    """Titles of L labels (V x L TF-IDF, the transpose for fast look-ups) and the labels met together with each.

    co_clicks_LL: CSR float32, row maximum 1, no diagonal.
    """

    titles_VL: sp.csr_matrix
    co_clicks_LL: sp.csr_matrix

    @classmethod
    def of(cls, weights_NL: sp.csr_matrix, labels_LV: sp.csr_matrix) -> "Evidence":
        """Read the clicks between N points and L labels."""
        return cls(labels_LV.T.tocsr(), co_occurring_labels(weights_NL, KEPT_LABELS, DAMPING))

    def similar_labels(self, points_NV: sp.csr_matrix) -> sp.csr_matrix:
        """The labels whose titles speak for each title and by how much: CSR N x L, rows sum to 1 or are empty."""
        cosine = sp.csr_matrix(points_NV @ self.titles_VL)
        cosine.data = np.minimum(cosine.data, 1) ** SHARPNESS
        return with_sum_one(keep_heaviest(cosine, SIMILAR_LABELS))

    def co_clicks(self, points_NV: sp.csr_matrix) -> sp.csr_matrix:
        """Evidence for every point and label between 0 and 1: CSR float32 N x L, most pairs have none."""
        points = points_NV.shape[0]
        chunks = [
            self.similar_labels(points_NV[start : start + _CHUNK]) @ self.co_clicks_LL
            for start in range(0, points, _CHUNK)
        ]
        return sp.vstack(chunks, format="csr", dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write co_clicks.npz: plain arrays, no pickle."""
        sp.save_npz(folder / "co_clicks.npz", self.co_clicks_LL)

    @classmethod
    def load(cls, folder: Path, labels_LV: sp.csr_matrix) -> "Evidence":
        """Read what `save` wrote, beside the same label titles."""
        return cls(labels_LV.T.tocsr(), sp.load_npz(folder / "co_clicks.npz").tocsr())


def bonus_of(co_clicks: sp.csr_matrix, config: ECLAREConfig) -> sp.csr_matrix:
    """What evidence adds to the model's score of a pair: evidence_weight * log(1 + evidence / FLOOR)."""
    bonus = co_clicks.copy()
    bonus.data = (config.evidence_weight * np.log1p(bonus.data / FLOOR)).astype(np.float32)
    return bonus
