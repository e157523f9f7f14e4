"""The best labels of each point."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eclare.arrays.strings import Strings, pack, unpack
from eclare.arrays.topk import PAD

SOURCES = ("model", "co-click", "cold", "category", "popular", "pinned")


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The K best labels of each of N points, best first.

    labels_NK: int32 label rows; PAD (-1) fills the end of a row that has fewer than K.
    scores_NK: float32, falling along each row; meaningless where the label is PAD, as are
    sources_NK: int8 places in SOURCES.
    Raises ValueError when shapes disagree, a row number is out of range, scores rise or are not finite.
    """

    labels_NK: npt.NDArray[np.int32]
    scores_NK: npt.NDArray[np.float32]
    sources_NK: npt.NDArray[np.int8]
    point_ids_N: Strings
    label_ids_L: Strings

    def __post_init__(self) -> None:
        labels, scores = self.labels_NK, self.scores_NK
        if labels.ndim != 2 or labels.shape != scores.shape or len(labels) != len(self.point_ids_N):
            raise ValueError(
                f"labels_NK and scores_NK must be {len(self.point_ids_N)} x K, got {labels.shape} and {scores.shape}"
            )
        if self.sources_NK.shape != labels.shape or (
            labels.size and not (self.sources_NK.min() >= 0 and self.sources_NK.max() < len(SOURCES))
        ):
            raise ValueError(f"sources_NK must be a place in {SOURCES} for each label, got {self.sources_NK!r}")
        if labels.size and not (labels.min() >= PAD and labels.max() < len(self.label_ids_L)):
            raise ValueError(f"labels must lie in -1..{len(self.label_ids_L) - 1}, got {labels.min()}..{labels.max()}")
        scored = labels != PAD
        if not np.isfinite(scores[scored]).all():
            raise ValueError("scores must be finite, got NaN or infinity: the model that made them has diverged")
        if (scored[:, 1:] & ~scored[:, :-1]).any():
            raise ValueError("PAD (-1) may only fill the end of a row, got a label after it")
        if ((scores[:, 1:] > scores[:, :-1]) & scored[:, 1:]).any():
            raise ValueError("scores must fall along each row, got a higher score after a lower one")

    def __repr__(self) -> str:
        points, k = self.labels_NK.shape
        full = int((self.labels_NK != PAD).all(axis=1).sum()) if k else 0
        distinct = len(np.unique(self.labels_NK[self.labels_NK != PAD]))
        return (
            f"Recommendations({points:,} points, {full:,} with {k}; {distinct:,} of {len(self.label_ids_L):,} labels)"
        )

    def save(self, folder: Path) -> None:
        """Write recommendations.npz: plain arrays, no pickle."""
        np.savez(
            folder / "recommendations.npz",
            labels=self.labels_NK, scores=self.scores_NK, sources=self.sources_NK,
            allow_pickle=False, **pack("point_ids", self.point_ids_N), **pack("label_ids", self.label_ids_L),
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> "Recommendations":
        """Read what `save` wrote; raises ValueError where it does not hold together."""
        with np.load(folder / "recommendations.npz", allow_pickle=False) as file:
            ids = (unpack(name, file, "its lists must be chosen again") for name in ("point_ids", "label_ids"))
            return cls(file["labels"], file["scores"], file["sources"], *ids)
