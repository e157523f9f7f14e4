"""Dated sessions: which products were chosen together, and how long ago."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.sparse import scale_rows


@dataclass(frozen=True, eq=False)
class Sessions:
    """S sessions of at least two products, before some day.

    chosen_SP: CSR float32, 1 where a session holds a product; age_S: days from the session to that day, 0 or more.
    Raises ValueError when the shapes disagree or an age is negative.
    """

    chosen_SP: sp.csr_matrix
    age_S: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.chosen_SP.shape[0] != len(self.age_S):
            raise ValueError(f"every session needs an age: {self.chosen_SP.shape[0]} sessions, {len(self.age_S)} ages")
        if len(self.age_S) and not self.age_S.min() >= 0:
            raise ValueError(f"ages must be days before the cut, 0 or more, got {self.age_S.min()}")

    def __repr__(self) -> str:
        sessions, products = self.chosen_SP.shape
        return f"Sessions({sessions:,} of {products:,} products, over {self.days:.0f} days)"

    @cached_property
    def days(self) -> float:
        """How far back the sessions go."""
        return float(self.age_S.max(initial=0))

    def until(self, days_ago: float) -> "Sessions":
        """The sessions as they stood `days_ago`."""
        kept = self.age_S >= days_ago
        return Sessions(self.chosen_SP[kept], self.age_S[kept] - days_ago)

    def since(self, days_ago: float) -> "Sessions":
        """The sessions that came after `until(days_ago)`."""
        kept = self.age_S < days_ago
        return Sessions(self.chosen_SP[kept], self.age_S[kept])

    def together(self, half_life_days: float = np.inf) -> sp.csr_matrix:
        """Sessions that two products share, each halved every `half_life_days`: CSR float32 P x P, no diagonal."""
        weighed = scale_rows(self.chosen_SP, self._weight(half_life_days))
        pairs = (self.chosen_SP.T @ weighed).tocoo()
        kept = pairs.row != pairs.col
        return sp.csr_matrix(
            (pairs.data[kept], (pairs.row[kept], pairs.col[kept])), shape=pairs.shape, dtype=np.float32
        )

    def popularity(self, half_life_days: float = np.inf) -> npt.NDArray[np.float32]:
        """Sessions that hold each product, halved likewise, P."""
        return np.asarray(self.chosen_SP.T @ self._weight(half_life_days), dtype=np.float32)

    def _weight(self, half_life_days: float) -> npt.NDArray[np.float32]:
        return (0.5 ** (self.age_S / half_life_days)).astype(np.float32)
