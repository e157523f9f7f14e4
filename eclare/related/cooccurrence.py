"""Co-occurrence: in how many sessions two products were together, and how long ago."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Rows

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CountsByAge:
    """Counts by age: entry e says that `count_E[e]` sessions of `age_E[e]` days concern `key_E[e]`; keys are sorted.

    Raises ValueError when the lengths disagree, a key comes before its predecessor or an age is negative.
    """

    key_E: Keys
    age_E: Rows
    count_E: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if not len(self.key_E) == len(self.age_E) == len(self.count_E):
            raise ValueError(
                f"keys, ages and counts must be as many, got {len(self.key_E)}, {len(self.age_E)}, {len(self.count_E)}"
            )
        if (self.key_E[1:] < self.key_E[:-1]).any():
            raise ValueError("keys must be sorted, got one that is smaller than its predecessor")
        if len(self.age_E) and self.age_E.min() < 0:
            raise ValueError(f"ages must be days before the cut, 0 or more, got {self.age_E.min()}")

    @cached_property
    def starts(self) -> Keys:
        """Where each distinct key begins."""
        return np.flatnonzero(np.diff(self.key_E, prepend=-1))

    def total(self, half_life_days: float) -> npt.NDArray[np.float32]:
        """The sessions of every distinct key, each halved every `half_life_days`."""
        if not len(self.key_E):
            return np.zeros(0, np.float32)
        weight = 0.5 ** (np.arange(self.age_E.max() + 1) / half_life_days)
        return np.add.reduceat(self.count_E * weight[self.age_E], self.starts).astype(np.float32)

    def between(self, first: int, end: int | None) -> "CountsByAge":
        """Those at least `first` and less than `end` days old, with their age before that first day."""
        kept = (self.age_E >= first) & (True if end is None else self.age_E < end)
        return CountsByAge(self.key_E[kept], self.age_E[kept] - first, self.count_E[kept])


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """How many sessions led from one of P products to another, and how many held each product, by age before a day.

    counts: keys are query * products + related, never a product with itself; sessions: keys are products.
    """

    counts: CountsByAge
    sessions: CountsByAge
    products: int

    def __repr__(self) -> str:
        return f"Cooccurrence({len(self.counts.starts):,} pairs of {self.products:,} products, over {self.days} days)"

    @classmethod
    def of_sessions(cls, chosen_SP: sp.csr_matrix, age_S: npt.NDArray[np.integer]) -> "Cooccurrence":
        """Every product of a session is paired with every other one of it.

        chosen_SP: CSR, an entry where a session holds a product; age_S: whole days from the session to the day.
        """
        radix = _Radix(chosen_SP.shape[1], int(age_S.max(initial=0)) + 1)
        chosen, age_S = CSR.of(chosen_SP), age_S.astype(np.int64)
        sizes = np.diff(chosen.indptr).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes * (sizes - 1))])
        pair_numbers = _number_pairs(chosen, age_S, starts, radix)
        product_numbers = chosen.indices.astype(np.int64) * radix.ages + np.repeat(age_S, sizes)
        return cls(_counted(pair_numbers, radix), _counted(product_numbers, radix), radix.products)

    def __len__(self) -> int:
        return self.products

    @property
    def days(self) -> int:
        """How far back they go."""
        return int(self.sessions.age_E.max(initial=0))

    def until(self, days_ago: int) -> "Cooccurrence":
        """As they stood `days_ago`."""
        return Cooccurrence(self.counts.between(days_ago, None), self.sessions.between(days_ago, None), self.products)

    def since(self, days_ago: int) -> "Cooccurrence":
        """Those that came after `until(days_ago)`."""
        return Cooccurrence(self.counts.between(0, days_ago), self.sessions.between(0, days_ago), self.products)

    def matrix(self, half_life_days: float = np.inf) -> sp.csr_matrix:
        """Sessions of every pair, each halved every `half_life_days`: CSR float32 P x P, no diagonal."""
        key = self.counts.key_E[self.counts.starts]
        related = (key % self.products).astype(np.int32)
        indptr = np.searchsorted(key, np.arange(self.products + 1, dtype=np.int64) * self.products)
        return sp.csr_matrix((self.counts.total(half_life_days), related, indptr), shape=(self.products, self.products))

    def popularity(self, half_life_days: float = np.inf) -> npt.NDArray[np.float32]:
        """Sessions that hold each product, halved likewise, P."""
        popularity_P = np.zeros(self.products, np.float32)
        popularity_P[self.sessions.key_E[self.sessions.starts]] = self.sessions.total(half_life_days)
        return popularity_P

    def save(self, folder: Path) -> None:
        """Write cooccurrence.npz: plain arrays, no pickle."""
        parts = {
            f"{name}_{field}": getattr(dated, f"{field}_E")
            for name, dated in (("counts", self.counts), ("sessions", self.sessions))
            for field in ("key", "age", "count")
        }
        np.savez(folder / "cooccurrence.npz", products=self.products, **parts)

    @classmethod
    def load(cls, folder: Path) -> "Cooccurrence":
        """Read what `save` wrote; raises ValueError where it does not hold together."""
        with np.load(folder / "cooccurrence.npz", allow_pickle=False) as file:
            counts, sessions = (
                CountsByAge(*(file[f"{name}_{field}"] for field in ("key", "age", "count")))
                for name in ("counts", "sessions")
            )
            return cls(counts, sessions, int(file["products"]))


class _Radix(NamedTuple):
    """A pair and an age are one number of three digits, (query * products + related) * ages + age."""

    products: int
    ages: int


def _counted(numbers: Keys, radix: _Radix) -> CountsByAge:
    """Equal ones counted; each is key * ages + age."""
    distinct, counts = np.unique(numbers, return_counts=True)
    key, age = np.divmod(distinct, radix.ages)
    return CountsByAge(key, age.astype(np.int32), counts.astype(np.float32))


@numba.njit(parallel=True, cache=True)
def _number_pairs(chosen: CSR, age_S: Keys, starts: Keys, radix: _Radix) -> Keys:
    """The numbers of the pairs of every session s, from starts[s] on."""
    numbers = np.empty(starts[-1], np.int64)
    for session in numba.prange(len(age_S)):
        products = chosen.indices[chosen.indptr[session] : chosen.indptr[session + 1]]
        slot = starts[session]
        for i in range(len(products)):
            for j in range(len(products)):
                if i != j:
                    key = np.int64(products[i]) * radix.products + products[j]
                    numbers[slot] = key * radix.ages + age_S[session]
                    slot += 1
    return numbers
