"""Co-occurrence: in how many sessions two products were together, and how long ago."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, CSRStack, Floats, Rows
from eclare.arrays.kernels import numba

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CountsByAge:
    """Counts by age: entry e says that `count_E[e]` sessions of `age_E[e]` days concern `key_E[e]`; keys are sorted.

    support_E: the sessions themselves where count_E weighs them by the type of click; None where it does not.
    Raises ValueError when the lengths disagree, a key comes before its predecessor or an age is negative.
    """

    key_E: Keys
    age_E: Rows
    count_E: npt.NDArray[np.float32]
    support_E: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not len(self.key_E) == len(self.age_E) == len(self.count_E) == len(self.sessions_E):
            raise ValueError(
                f"keys, ages, counts and sessions must be as many, got {len(self.key_E)}, {len(self.age_E)}, "
                f"{len(self.count_E)}, {len(self.sessions_E)}"
            )
        if (self.key_E[1:] < self.key_E[:-1]).any():
            raise ValueError("keys must be sorted, got one that is smaller than its predecessor")
        if len(self.age_E) and self.age_E.min() < 0:
            raise ValueError(f"ages must be days before the cut, 0 or more, got {self.age_E.min()}")

    @classmethod
    def joined(cls, parts: list["CountsByAge"]) -> "CountsByAge":
        """Parts whose keys follow upon one another; empties the list, so that memory holds one column twice at most."""
        if len(parts) == 1:
            return parts.pop()
        has_support = any(part.support_E is not None for part in parts)
        names = ("key_E", "age_E", "count_E", "support_E")[: 4 if has_support else 3]
        columns = [[getattr(part, name) for part in parts] for name in names]
        parts.clear()
        return cls(*(_emptied(column) for column in columns))

    @property
    def sessions_E(self) -> npt.NDArray[np.float32]:
        """The sessions of every entry, each counted as one."""
        return self.count_E if self.support_E is None else self.support_E

    @cached_property
    def starts(self) -> Keys:
        """Where each distinct key begins."""
        return np.flatnonzero(np.diff(self.key_E, prepend=-1))

    def totals(self, half_lives_H: Sequence[float]) -> Floats:
        """The sessions of every distinct key, each halved every so many days, keys x H: one pass for all half-lives."""
        ages = np.arange(self.age_E.max(initial=-1) + 1)
        weight_AH = 0.5 ** (ages[:, None] / np.array(half_lives_H, np.float64))
        return np.asarray(_totals(self.starts, self.age_E, self.count_E, weight_AH))

    def between(self, first: int, end: int | None) -> "CountsByAge":
        """Those at least `first` and less than `end` days old, with their age before that first day."""
        kept = self._where((self.age_E >= first) & (True if end is None else self.age_E < end))
        return CountsByAge(kept.key_E, kept.age_E - first, kept.count_E, kept.support_E)

    def supported(self, min_support: int) -> "CountsByAge":
        """Those of keys with min_support sessions or more and a weight."""
        if not len(self.key_E):
            return self
        support, weight = (np.add.reduceat(each, self.starts) for each in (self.sessions_E, self.count_E))
        entries = np.diff(self.starts, append=len(self.key_E))
        return self._where(np.repeat((support >= min_support) & (weight > 0), entries))

    def _where(self, kept: npt.NDArray[np.bool_]) -> "CountsByAge":
        support_E = None if self.support_E is None else self.support_E[kept]
        return CountsByAge(self.key_E[kept], self.age_E[kept], self.count_E[kept], support_E)


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """How many sessions led from one of P products to another, and how many held each product, by age before a day.

    counts: keys are query * products + related, never a product with itself; sessions: keys are products. sessions_A:
    all sessions, whatever they held, by age. min_support: the sessions that a pair needs to count; a part of the days
    counts its own, so that nothing of a pair is known before a cut because it came again after it.
    """

    counts: CountsByAge
    sessions: CountsByAge
    products: int
    sessions_A: npt.NDArray[np.int64]
    min_support: int = 1

    def __repr__(self) -> str:
        return f"Cooccurrence({len(self.counts.starts):,} pairs of {self.products:,} products, over {self.days} days)"

    @classmethod
    def of_sessions(
        cls, chosen_SP: sp.csr_matrix, age_S: npt.NDArray[np.integer], min_support: int = 1
    ) -> "Cooccurrence":
        """Every product of a session is paired with every other one of it.

        chosen_SP: CSR, an entry where a session holds a product; age_S: whole days from the session to the day;
        min_support: the sessions that must share a pair before it counts.
        """
        radix = _Radix(chosen_SP.shape[1], int(age_S.max(initial=0)) + 1)
        chosen, age_S = CSR.of(chosen_SP), age_S.astype(np.int64)
        sizes = np.diff(chosen.indptr).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes * (sizes - 1))])
        pair_numbers = _number_pairs(chosen, age_S, starts, radix)
        product_numbers = chosen.indices.astype(np.int64) * radix.ages + np.repeat(age_S, sizes)
        counts, sessions = _counted(pair_numbers, radix), _counted(product_numbers, radix)
        return cls(counts.supported(min_support), sessions, radix.products, np.bincount(age_S), min_support)

    def __len__(self) -> int:
        return self.products

    @property
    def days(self) -> int:
        """How far back they go."""
        return int(self.sessions.age_E.max(initial=0))

    @property
    def session_count(self) -> int:
        """All sessions, whatever they held."""
        return int(self.sessions_A.sum())

    def until(self, days_ago: int) -> "Cooccurrence":
        """As they stood `days_ago`: pairs with fewer than min_support sessions by then are left out."""
        return self._between(days_ago, None)

    def since(self, days_ago: int) -> "Cooccurrence":
        """Those that came after `until(days_ago)`: pairs with fewer than min_support sessions then are left out."""
        return self._between(0, days_ago)

    def on(self, days_ago: int) -> "Cooccurrence":
        """Those of one day alone: pairs with fewer than min_support sessions on it are left out."""
        return self._between(days_ago, days_ago + 1)

    def _between(self, first: int, end: int | None) -> "Cooccurrence":
        return Cooccurrence(
            self.counts.between(first, end).supported(self.min_support),
            self.sessions.between(first, end),
            self.products,
            self.sessions_A[first:end],
            self.min_support,
        )

    def matrix(self, half_life_days: float = np.inf) -> sp.csr_matrix:
        """Sessions of every pair, each halved every `half_life_days`: CSR float32 P x P, no diagonal."""
        indptr, related, sessions_EH = self.stack((half_life_days,))
        return sp.csr_matrix((sessions_EH[:, 0], related, indptr), shape=(self.products, self.products))

    def stack(self, half_lives_H: Sequence[float]) -> CSRStack:
        """The same for several half-lives."""
        key = self.counts.key_E[self.counts.starts]
        indptr = np.searchsorted(key, np.arange(self.products + 1, dtype=np.int64) * self.products)
        return CSRStack(indptr, (key % self.products).astype(np.int32), self.counts.totals(half_lives_H))

    def shared_sessions(self) -> sp.csr_matrix:
        """The same with every session counted as one, whatever its type of click weighs."""
        counts = self.counts
        unweighted = CountsByAge(counts.key_E, counts.age_E, counts.sessions_E)
        return Cooccurrence(unweighted, self.sessions, self.products, self.sessions_A, self.min_support).matrix()

    def paired(self) -> npt.NDArray[np.bool_]:
        """Which products have a pair, P."""
        key, paired_P = self.counts.key_E[self.counts.starts], np.zeros(self.products, np.bool_)
        for products in np.divmod(key, self.products):
            paired_P[products] = True
        return paired_P

    def popularity(self, half_life_days: float = np.inf) -> npt.NDArray[np.float32]:
        """Sessions that hold each product, halved likewise, P."""
        return self.popularities((half_life_days,))[:, 0]

    def popularities(self, half_lives_H: Sequence[float]) -> Floats:
        """The same for several half-lives, P x H."""
        popularity_PH = np.zeros((self.products, len(half_lives_H)), np.float32)
        popularity_PH[self.sessions.key_E[self.sessions.starts]] = self.sessions.totals(half_lives_H)
        return popularity_PH

    def popularity_since(self, days_ago: int) -> npt.NDArray[np.float32]:
        """`since(days_ago).popularity()`, without counting its pairs."""
        dated = self.sessions.between(0, days_ago)
        return np.bincount(dated.key_E, dated.count_E, self.products).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write cooccurrence.npz: plain arrays, no pickle."""
        parts: dict[str, npt.ArrayLike] = {
            f"{name}_{field}": getattr(dated, f"{field}_E")
            for name, dated in (("counts", self.counts), ("sessions", self.sessions))
            for field in ("key", "age", "count")
        }
        parts |= {"products": self.products, "sessions_by_age": self.sessions_A, "min_support": self.min_support}
        if self.counts.support_E is not None:
            parts["counts_support"] = self.counts.support_E
        np.savez(folder / "cooccurrence.npz", allow_pickle=False, **parts)

    @classmethod
    def load(cls, folder: Path) -> "Cooccurrence":
        """Read what `save` wrote; raises ValueError where it does not hold together or is of older code."""
        with np.load(folder / "cooccurrence.npz", allow_pickle=False) as file:
            if "min_support" not in file:
                raise ValueError(
                    f"{folder / 'cooccurrence.npz'} must hold min_support and sessions_by_age, but is of older code: "
                    "run build_interactions for this night again"
                )
            counts, sessions = (
                CountsByAge(
                    file[f"{name}_key"], file[f"{name}_age"], file[f"{name}_count"], file.get(f"{name}_support")
                )
                for name in ("counts", "sessions")
            )
            return cls(counts, sessions, int(file["products"]), file["sessions_by_age"], int(file["min_support"]))


def _emptied(column: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    joined = np.concatenate(column)
    column.clear()
    return joined


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
def _totals(starts: Keys, age_E: Rows, count_E: Floats, weight_AH: npt.NDArray[np.float64]) -> Floats:
    totals = np.empty((len(starts), weight_AH.shape[1]), np.float32)
    for place in numba.prange(len(starts)):
        end = starts[place + 1] if place + 1 < len(starts) else len(age_E)
        for h in range(weight_AH.shape[1]):
            total = 0.0
            for entry in range(starts[place], end):
                total += count_E[entry] * weight_AH[age_E[entry], h]
            totals[place, h] = total
    return totals


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
