"""Sessions of pairs of products packed into sorted 63-bit codes, and weighted as they are read in order."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.kernels import numba
from eclare.related.cooccurrence import Keys

CODE_BITS = 63
EVENT_TYPE_BITS = 2  # up to four event types


class CodeLayout(NamedTuple):
    """The first bit of each part of a code, by which codes sort in this order from the last to the first.

    Sessions begin at bit 0, then come the event type, the age and the related product.
    """

    event_type_bit: int
    age_bit: int
    related_bit: int

    @classmethod
    def of(cls, products: int, ages: int, most_sessions: int) -> "CodeLayout":
        """Fits products, ages below `ages` and up to most_sessions; raises ValueError where they need more bits."""
        age_bits = (ages - 1).bit_length()
        sessions_bits = CODE_BITS - (products - 1).bit_length() - age_bits - EVENT_TYPE_BITS
        if most_sessions.bit_length() > sessions_bits:
            raise ValueError(
                f"{products:,} products over {ages} days leave {sessions_bits} bits for a pair's sessions of a day, "
                f"got {most_sessions:,} sessions: take fewer days"
            )
        return cls(sessions_bits, sessions_bits + EVENT_TYPE_BITS, sessions_bits + EVENT_TYPE_BITS + age_bits)


class PackedCounts(NamedTuple):
    """Sessions by query, related product, age and event type: query first_query + q has codes[indptr[q]:indptr[q + 1]].

    Sorted. products: all there are, of which some may be queries here. The layout of the codes is that of CodeLayout,
    flat because numba's parallel loops take no nested tuples.
    """

    first_query: int
    products: int
    indptr: Keys
    codes: Keys
    event_type_bit: int
    age_bit: int
    related_bit: int


class DayColumns(NamedTuple):
    """The entries of one day as kernels take them: one type and layout each, see DayCooccurrence."""

    age: int
    query_E: Rows
    related_E: Rows
    event_type_E: Rows
    sessions_E: Rows


class AgeWeights(NamedTuple):
    """What a pair must have and what it counts: min_support sessions aged first_age up to before end_age.

    weight_AT: of one session by age and event type.
    """

    first_age: int
    end_age: int
    min_support: int
    weight_AT: npt.NDArray[np.float64]


def indptr_of(count_P: Keys) -> Keys:
    """Where the entries of each row begin when they lie side by side, and where the last row ends: P + 1."""
    return np.concatenate([[0], np.cumsum(count_P)])


def split_evenly(indptr: Keys, workers: int) -> Keys:
    """Where each worker's queries begin, workers + 1, so that all have about as many entries."""
    wanted = np.linspace(0, indptr[-1], workers + 1)[1:-1]
    return np.concatenate([[0], np.searchsorted(indptr[:-1], wanted), [len(indptr) - 1]]).astype(np.int64)


@numba.njit(cache=True)
def count_rows(row_E: Rows, count_P: Keys) -> None:
    """Add the number of entries of every row."""
    for row in row_E:
        count_P[row] += 1


@numba.njit(parallel=True, cache=True)
def scatter(day: DayColumns, bounds: Keys, next_P: Keys, counts: PackedCounts) -> None:
    """Write the codes of a day where the next ones of their queries belong, and move these places on.

    bounds: where each worker's queries begin. Every worker reads all entries and writes those of its queries: no two
    write to one place. next_P, bounds: from first_query on. Entries for which there is no room are passed over.
    """
    codes = counts.codes
    for worker in numba.prange(len(bounds) - 1):
        first, end = bounds[worker], bounds[worker + 1]
        for entry in range(len(day.query_E)):
            query = day.query_E[entry] - counts.first_query
            if first <= query < end and next_P[query] < counts.indptr[query + 1]:
                related, event_type = np.int64(day.related_E[entry]), np.int64(day.event_type_E[entry])
                code = (related << counts.related_bit) | (day.age << counts.age_bit)
                code |= (event_type << counts.event_type_bit) | np.int64(day.sessions_E[entry])
                codes[next_P[query]] = code
                next_P[query] += 1


@numba.njit(parallel=True, cache=True)
def count_pairs(counts: PackedCounts, weights: AgeWeights) -> Keys:
    """How many pairs of every query have enough sessions and a weight."""
    count_P = np.zeros(len(counts.indptr) - 1, np.int64)
    for query in numba.prange(len(count_P)):
        entry, end, found = counts.indptr[query], counts.indptr[query + 1], 0
        while entry < end:
            entry, weight = _weigh_pair(counts, entry, end, weights)
            found += weight > 0
        count_P[query] = found
    return count_P


@numba.njit(parallel=True, cache=True)
def heaviest_pairs(counts: PackedCounts, weights: AgeWeights, indptr: Keys) -> tuple[Rows, Floats]:
    """As many of the heaviest pairs of every query as indptr has room for, ties to the lower row, sorted by row."""
    kept_related, kept_weights = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    for query in numba.prange(len(indptr) - 1):
        entry, end = counts.indptr[query], counts.indptr[query + 1]
        slot, room, found = indptr[query], indptr[query + 1] - indptr[query], 0
        related, weight = np.empty(end - entry, np.int32), np.empty(end - entry, np.float32)
        while entry < end and room:
            related[found] = counts.codes[entry] >> counts.related_bit
            entry, weight[found] = _weigh_pair(counts, entry, end, weights)
            found += weight[found] > 0
        heaviest = np.arange(found)
        if found > room:
            heaviest = np.sort(np.argsort(-weight[:found], kind="mergesort")[:room])
        for i in range(room):
            kept_related[slot + i] = related[heaviest[i]]
            kept_weights[slot + i] = weight[heaviest[i]]
    return kept_related, kept_weights


@numba.njit(parallel=True, cache=True)
def count_ages(counts: PackedCounts, weights: AgeWeights) -> Keys:
    """How many ages with a session the pairs of every query that have enough sessions and a weight have together."""
    count_P = np.zeros(len(counts.indptr) - 1, np.int64)
    for query in numba.prange(len(count_P)):
        entry, end, found = counts.indptr[query], counts.indptr[query + 1], 0
        while entry < end:
            end_of_pair, weight = _weigh_pair(counts, entry, end, weights)
            while weight > 0 and entry < end_of_pair:
                entry, sessions, _ = _sum_run(counts, entry, end_of_pair, counts.age_bit, weights)
                found += sessions > 0
            entry = end_of_pair
        count_P[query] = found
    return count_P


@numba.njit(parallel=True, cache=True)
def weights_by_age(counts: PackedCounts, weights: AgeWeights, indptr: Keys) -> tuple[Keys, Rows, Floats, Floats]:
    """Of every age that count_ages counts: pair (query * P + related), age, weighted sessions and sessions."""
    keys, ages, by_age, support = (
        np.empty(indptr[-1], np.int64),
        np.empty(indptr[-1], np.int32),
        np.empty(indptr[-1], np.float32),
        np.empty(indptr[-1], np.float32),
    )
    for query in numba.prange(len(indptr) - 1):
        entry, end, slot = counts.indptr[query], counts.indptr[query + 1], indptr[query]
        while entry < end:
            end_of_pair, weight = _weigh_pair(counts, entry, end, weights)
            while weight > 0 and entry < end_of_pair:
                code = counts.codes[entry]
                entry, sessions, weight_of_age = _sum_run(counts, entry, end_of_pair, counts.age_bit, weights)
                if sessions > 0:
                    keys[slot] = (counts.first_query + query) * counts.products + (code >> counts.related_bit)
                    ages[slot] = _unpack(counts, code)[0]
                    by_age[slot] = weight_of_age
                    support[slot] = sessions
                    slot += 1
            entry = end_of_pair
    return keys, ages, by_age, support


@numba.njit(cache=True)
def _weigh_pair(counts: PackedCounts, entry: int, end: int, weights: AgeWeights) -> tuple[int, np.float32]:
    """Where the pair that begins at an entry ends, and its weighted sessions; 0 where it has too few."""
    end_of_pair, sessions, weight = _sum_run(counts, entry, end, counts.related_bit, weights)
    return end_of_pair, np.float32(weight) if sessions >= weights.min_support else np.float32(0)


@numba.njit(cache=True)
def _sum_run(counts: PackedCounts, entry: int, end: int, first_bit: int, weights: AgeWeights) -> tuple[int, int, float]:
    """Where the codes that agree from first_bit on end, their sessions of the wanted ages, and the weight of these."""
    run, total, weight = counts.codes[entry] >> first_bit, 0, 0.0
    while entry < end and counts.codes[entry] >> first_bit == run:
        age, event_type, sessions = _unpack(counts, counts.codes[entry])
        if weights.first_age <= age < weights.end_age:
            total += sessions
            weight += sessions * weights.weight_AT[age, event_type]
        entry += 1
    return entry, total, weight


@numba.njit(cache=True)
def _unpack(counts: PackedCounts, code: int) -> tuple[int, int, int]:
    """Age, event type and sessions."""
    age = (code >> counts.age_bit) & ((1 << (counts.related_bit - counts.age_bit)) - 1)
    event_type = (code >> counts.event_type_bit) & ((1 << (counts.age_bit - counts.event_type_bit)) - 1)
    return age, event_type, code & ((1 << counts.event_type_bit) - 1)
