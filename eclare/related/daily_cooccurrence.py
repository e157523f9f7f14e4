"""Daily co-occurrence: many days' sessions of pairs of products, added up. Exact, whatever the threads do."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.arrays.kernels import numba
from eclare.arrays.radix_sort import sort_rows
from eclare.related.cooccurrence import CountsByAge
from eclare.related.packed_counts import (
    CODE_BITS,
    EVENT_TYPE_BITS,
    AgeWeights,
    CodeLayout,
    DayColumns,
    PackedCounts,
    count_ages,
    count_pairs,
    count_rows,
    heaviest_pairs,
    indptr_of,
    scatter,
    split_evenly,
    weights_by_age,
)

LEAST_DECAY = 2.0**-36  # however old, a pair that counts has a weight


@dataclass(frozen=True, eq=False)
class DayCooccurrence:
    """One day: entry e says that `sessions_E[e]` sessions of event_type_E[e] led from query_E[e] to related_E[e].

    age: whole days before the night; symmetric: every entry stands for its reverse too; products are row numbers.
    outside: sessions of entries that were left out, because the catalogue lacks a product of theirs or has one product
    for both ids; those of a symmetric entry count twice. Raises ValueError when the lengths disagree or the age is
    negative.
    """

    age: int
    symmetric: bool
    query_E: Rows
    related_E: Rows
    event_type_E: npt.NDArray[np.int8]
    sessions_E: Rows
    outside: int = 0

    def __post_init__(self) -> None:
        lengths = [len(self.query_E), len(self.related_E), len(self.event_type_E), len(self.sessions_E)]
        if len(set(lengths)) > 1:
            raise ValueError(f"queries, related, event types and sessions must be as many, got {lengths}")
        if self.age < 0:
            raise ValueError(f"an age must be days before the night, 0 or more, got {self.age}")

    def in_catalogue(self, row_of_D: Rows) -> "DayCooccurrence":
        """The entries in rows of a catalogue, without those that lack a product there or have one for both ids.

        row_of_D: the catalogue's row of each product of the day, -1 where it has none.
        """
        query_E, related_E = row_of_D[self.query_E], row_of_D[self.related_E]
        inside = (query_E >= 0) & (related_E >= 0) & (query_E != related_E)
        if inside.all():
            return DayCooccurrence(self.age, self.symmetric, query_E, related_E, self.event_type_E, self.sessions_E)
        outside = int(self.sessions_E[~inside].sum(dtype=np.int64)) * (2 if self.symmetric else 1)
        columns = (query_E[inside], related_E[inside], self.event_type_E[inside], self.sessions_E[inside])
        return DayCooccurrence(self.age, self.symmetric, *columns, outside)

    def directions(self) -> list[tuple[Rows, Rows]]:
        """Query and related of every entry, and once more the other way round where it stands for both."""
        forwards, backwards = (self.query_E, self.related_E), (self.related_E, self.query_E)
        return [forwards, backwards] if self.symmetric else [forwards]


@dataclass(frozen=True)
class Weighting:
    """The sessions that a pair needs at least, and the weight of a session of each event type.

    Raises ValueError for a weight that is negative or not finite.
    """

    min_support: int
    weight_T: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(0 <= weight < np.inf for weight in self.weight_T):
            raise ValueError(f"weights of sessions must be finite numbers of 0 or more, got {self.weight_T}")

    def at_ages(self, first_age: int, end_age: int, decay_A: npt.NDArray[np.float64]) -> AgeWeights:
        """For sessions of these ages, each worth `decay_A` of its age; event types without a weight count 0."""
        weight_T = np.pad(np.array(self.weight_T, np.float64), (0, (1 << EVENT_TYPE_BITS) - len(self.weight_T)))
        return AgeWeights(first_age, end_age, self.min_support, decay_A[:, None] * weight_T)


@dataclass(frozen=True, eq=False)
class WindowSize:
    """What must be known of all days before a part of their queries is added up.

    entries_P: entries that lead from each of P products; outside_A: sessions outside the catalogue by age, all ages
    are below A; most_sessions: of an entry.
    """

    entries_P: npt.NDArray[np.int64]
    outside_A: npt.NDArray[np.int64]
    most_sessions: int

    @classmethod
    def of(cls, days: Iterable[DayCooccurrence], products: int) -> "WindowSize":
        """Raises ValueError for a row of no product, an event type other than 0 to 3 and fewer than 0 sessions."""
        entries_P, outside, most_sessions = np.zeros(products, np.int64), Counter({0: 0}), 0
        for day in days:
            _check_range(day, products)
            outside[day.age] += day.outside
            most_sessions = max(most_sessions, int(day.sessions_E.max(initial=0)))
            for query_E, _ in day.directions():
                count_rows(_for_kernels(query_E), entries_P)
        outside_A = np.array([outside[age] for age in range(max(outside) + 1)], np.int64)
        return cls(entries_P, outside_A, most_sessions)

    def __len__(self) -> int:
        return len(self.entries_P)

    def ranges(self, entries_at_once: int) -> Iterator[range]:
        """All queries, in ranges of at most so many entries; a query that has more is a range of its own."""
        indptr, first = indptr_of(self.entries_P), 0
        while first < len(self):
            end = int(np.searchsorted(indptr, indptr[first] + entries_at_once, side="right")) - 1
            yield range(first, end := max(end, first + 1))
            first = end


@dataclass(frozen=True, eq=False)
class WindowCooccurrence:
    """The entries of many days over P products, or those of a range of queries. ages: all ages are below it."""

    counts: PackedCounts
    ages: int

    def __repr__(self) -> str:
        return f"WindowCooccurrence({len(self.counts.codes):,} of {self.counts.products:,} products, {self.ages} days)"

    @classmethod
    def add_up(cls, days: Sequence[DayCooccurrence], products: int) -> "WindowCooccurrence":
        """Bring the entries of all days together; raises what WindowSize.of and `of_queries` do."""
        return cls.of_queries(days, WindowSize.of(days, products), range(products))

    @classmethod
    def of_queries(cls, days: Iterable[DayCooccurrence], size: WindowSize, queries: range) -> "WindowCooccurrence":
        """Bring the entries of a range of queries together.

        size: of the same days. Raises ValueError where a pair has more sessions in a day than fit, about
        2^61 / (products * days).
        """
        layout = CodeLayout.of(len(size), len(size.outside_A), size.most_sessions)
        indptr = indptr_of(size.entries_P[queries.start : queries.stop])
        counts = PackedCounts(queries.start, len(size), indptr, np.zeros(indptr[-1], np.int64), *layout)
        next_P, bounds = indptr[:-1].copy(), split_evenly(indptr, numba.get_num_threads())
        for day in days:
            event_type_E, sessions_E = _for_kernels(day.event_type_E), _for_kernels(day.sessions_E)
            for query_E, related_E in day.directions():
                columns = DayColumns(day.age, _for_kernels(query_E), _for_kernels(related_E), event_type_E, sessions_E)
                scatter(columns, bounds, next_P, counts)
        sort_rows(indptr, counts.codes, layout.event_type_bit, CODE_BITS)
        return cls(counts, len(size.outside_A))

    def weights(self, ages: range, half_life_days: float, weighting: Weighting, max_related: int) -> sp.csr_matrix:
        """Weighted sessions of the pairs of these ages, CSR float32 queries x P, columns sorted.

        A session counts half for every half_life_days (inf: whole) from its day to the day after the youngest of these
        ages; min_support counts sessions of these ages; the max_related heaviest of a query stay (ties: the smaller
        row).
        """
        known, decay_A = np.arange(ages.start, max(min(ages.stop, self.ages), ages.start)), np.zeros(self.ages)
        decay_A[known] = np.maximum(0.5 ** ((known - ages.start + 1) / half_life_days), LEAST_DECAY)
        age_weights = weighting.at_ages(ages.start, ages.stop, decay_A)
        indptr = indptr_of(np.minimum(count_pairs(self.counts, age_weights), max_related))
        related, weight = heaviest_pairs(self.counts, age_weights, indptr)
        return sp.csr_matrix((weight, related, indptr), shape=(len(indptr) - 1, self.counts.products))

    def by_age(self, weighting: Weighting) -> CountsByAge:
        """Weighted sessions by pair (query * P + related) and age; min_support counts sessions of any age.

        Beside them the sessions themselves, unless all types of click weigh 1, so that a part of the days can count its
        own; ages whose sessions have no weight stay for their sake.
        """
        age_weights = weighting.at_ages(0, self.ages, np.ones(self.ages))
        indptr = indptr_of(count_ages(self.counts, age_weights))
        key_E, age_E, count_E, support_E = weights_by_age(self.counts, age_weights, indptr)
        return CountsByAge(key_E, age_E, count_E, None if set(weighting.weight_T) <= {1.0} else support_E)


def sessions_by_age(days: Iterable[tuple[int, Rows, Rows]], products: int) -> CountsByAge:
    """Sessions of every product by age; a day is its age, rows of products (-1: passed over) and their sessions."""
    listed = [(np.full(len(row_E), age), row_E, sessions_E) for age, row_E, sessions_E in days]
    age_E, row_E, sessions_E = (np.concatenate(columns).astype(np.int64) for columns in zip(*listed, strict=True))
    kept = (row_E >= 0) & (sessions_E > 0)
    shape = (products, int(age_E.max(initial=0)) + 1)
    by_product = sp.csr_matrix((sessions_E[kept], (row_E[kept], age_E[kept])), shape=shape)
    key = np.repeat(np.arange(products, dtype=np.int64), np.diff(by_product.indptr))
    return CountsByAge(key, by_product.indices.astype(np.int32), by_product.data.astype(np.float32))


def _check_range(day: DayCooccurrence, products: int) -> None:
    """The kernels would write out of their arrays."""
    for name, column, end in (
        ("rows of products", day.query_E, products),
        ("rows of products", day.related_E, products),
        ("event types", day.event_type_E, 1 << EVENT_TYPE_BITS),
        ("sessions", day.sessions_E, 1 << 31),
    ):
        if len(column) and not 0 <= column.min() <= column.max() < end:
            raise ValueError(f"{name} must be from 0 to {end - 1:,}, got {column.min():,} to {column.max():,}")


def _for_kernels(column: npt.NDArray[np.integer]) -> Rows:
    """One type and layout, and writable, which Arrow's arrays are not."""
    return np.require(column, np.int32, ("C", "W"))
