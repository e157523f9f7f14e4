"""Daily pairs: many days' counts of products that met, added up over the days. Exact, whatever the threads do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.related.cooccurrence import CountsByAge

Rows = npt.NDArray[np.int32]
Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

Day = tuple[int, bool, Rows, Rows, Rows, Rows]  # age, both_ways, query_E, related_E, kind_E, sessions_E
Slots = tuple[Keys, Keys, Keys]  # start_P, codes, shifts
Rule = tuple[int, int, int, Doubles]  # first age, end of ages, sessions needed, weight of a session by age and kind

KIND_BITS = 2  # up to four kinds of sessions
DIGIT_BITS = 7  # sorted by at a time
FEW = 64  # codes, sorted as fast by comparing them
LEAST_DECAY = 2.0**-36  # however old, a pair that counts has a weight


@dataclass(frozen=True, eq=False)
class DayCooccurrence:
    """Pairs of one day: entry e says that `sessions_E[e]` sessions of kind_E[e] led from query_E[e] to related_E[e].

    age: whole days before the night; both_ways: every entry stands for its reverse too; products are row numbers.
    Raises ValueError when the lengths disagree or the age is negative.
    """

    age: int
    both_ways: bool
    query_E: Rows
    related_E: Rows
    kind_E: npt.NDArray[np.int8]
    sessions_E: Rows

    def __post_init__(self) -> None:
        lengths = [len(self.query_E), len(self.related_E), len(self.kind_E), len(self.sessions_E)]
        if len(set(lengths)) > 1:
            raise ValueError(f"queries, related, kinds and sessions must be as many, got {lengths}")
        if self.age < 0:
            raise ValueError(f"an age must be days before the night, 0 or more, got {self.age}")

    def in_catalogue(self, row_of_D: Rows) -> tuple["DayCooccurrence", int]:
        """The pairs in rows of a catalogue, and how many sessions' pairs have a product that it lacks.

        row_of_D: the catalogue's row of each product of the day, -1 where it has none.
        """
        query_E, related_E = row_of_D[self.query_E], row_of_D[self.related_E]
        inside = (query_E >= 0) & (related_E >= 0)
        if inside.all():
            return DayCooccurrence(self.age, self.both_ways, query_E, related_E, self.kind_E, self.sessions_E), 0
        outside = int(self.sessions_E[~inside].sum(dtype=np.int64)) * (2 if self.both_ways else 1)
        pairs = (query_E[inside], related_E[inside], self.kind_E[inside], self.sessions_E[inside])
        return DayCooccurrence(self.age, self.both_ways, *pairs), outside


@dataclass(frozen=True)
class Packing:
    """How a related product, an age, a kind and a number of sessions share 63 bits, to be sorted by in this order."""

    age_bits: int
    sessions_bits: int

    @classmethod
    def of(cls, products: int, ages: int, most_sessions: int) -> "Packing":
        """Fits products, ages below `ages` and up to most_sessions; raises ValueError where they need more bits."""
        age_bits = (ages - 1).bit_length()
        sessions_bits = 63 - (products - 1).bit_length() - age_bits - KIND_BITS
        if most_sessions.bit_length() > sessions_bits:
            raise ValueError(
                f"{products:,} products over {ages} days leave {sessions_bits} bits for a pair's sessions of a day, "
                f"got {most_sessions:,} sessions: take fewer days"
            )
        return cls(age_bits, sessions_bits)

    @property
    def shifts(self) -> Keys:
        """Where kind, age and related product begin."""
        return np.cumsum([self.sessions_bits, KIND_BITS, self.age_bits])


@dataclass(frozen=True)
class Weighing:
    """What pairs must have and what they count: sessions needed at least, and the weight of a session of each kind.

    Raises ValueError for a weight that is negative or not finite.
    """

    min_support: int
    weight_of_K: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(0 <= weight < np.inf for weight in self.weight_of_K):
            raise ValueError(f"weights of sessions must be finite numbers of 0 or more, got {self.weight_of_K}")

    @property
    def weight_of_kind(self) -> Doubles:
        """The weights of all kinds there can be; those without one count nothing."""
        return np.pad(np.array(self.weight_of_K, np.float64), (0, (1 << KIND_BITS) - len(self.weight_of_K)))


@dataclass(frozen=True, eq=False)
class WindowCooccurrence:
    """The pairs of many days over P products, side by side by query product, sorted by related product and age.

    start_P: where each query's codes begin, P + 1; codes: packed as `packing` says; ages: all ages are below it.
    """

    start_P: Keys
    codes: Keys
    packing: Packing
    ages: int

    def __repr__(self) -> str:
        return f"WindowCooccurrence({len(self.codes):,} of {len(self):,} products, over {self.ages} days)"

    def __len__(self) -> int:
        return len(self.start_P) - 1

    @classmethod
    def add_up(cls, days: Sequence[DayCooccurrence], products: int) -> "WindowCooccurrence":
        """Bring the pairs of all days together.

        Raises ValueError for a row of no product, a kind other than 0 to 3, fewer than 0 sessions, and where a pair has
        more sessions in a day than fit, about 2^61 / (products * days).
        """
        for day in days:
            _check_range(day, products)
        ages = max((day.age for day in days), default=0) + 1
        packing = Packing.of(products, ages, max((int(day.sessions_E.max(initial=0)) for day in days), default=0))
        count_P = np.zeros(products, np.int64)
        for day in days:
            _count(_own(day.query_E), count_P)
            if day.both_ways:
                _count(_own(day.related_E), count_P)
        start_P = _ends(count_P)
        codes, next_P = np.empty(start_P[-1], np.int64), start_P[:-1].copy()
        bounds = _shares(start_P, numba.get_num_threads())
        for day in days:
            columns = (_own(day.query_E), _own(day.related_E), _own(day.kind_E), _own(day.sessions_E))
            _scatter((day.age, day.both_ways, *columns), packing.shifts, bounds, next_P, codes)
        _sort(start_P, codes, packing.sessions_bits, 63)
        return cls(start_P, codes, packing, ages)

    def weights(self, aged: tuple[int, int], half_life_days: float, weighing: Weighing, most: int) -> sp.csr_matrix:
        """Weighted sessions of the pairs aged first_age up to before end_age, CSR float32 P x P, columns sorted.

        A session counts half for every half_life_days (inf: whole) from its day to the day after the youngest of these
        ages; min_support counts sessions of these ages; the `most` heaviest of a query stay (ties: the smaller row).
        """
        first_age, end_age = aged
        of_age, ages = np.zeros(self.ages), np.arange(first_age, max(min(end_age, self.ages), first_age))
        of_age[ages] = np.maximum(0.5 ** ((ages - first_age + 1) / half_life_days), LEAST_DECAY)
        rule = (first_age, end_age, weighing.min_support, of_age[:, None] * weighing.weight_of_kind)
        indptr = _ends(np.minimum(_count_kept(self._slots, rule, False), most))
        related, weight = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
        _fill_weights(self._slots, rule, indptr, related, weight)
        return sp.csr_matrix((weight, related, indptr), shape=(len(self), len(self)))

    def dated(self, weighing: Weighing) -> CountsByAge:
        """Weighted sessions by pair (query * P + related) and age; min_support counts sessions of any age."""
        rule = (0, self.ages, weighing.min_support, np.ones((self.ages, 1)) * weighing.weight_of_kind)
        place_P = _ends(_count_kept(self._slots, rule, True))
        entries = int(place_P[-1])
        kept = np.empty(entries, np.int64), np.empty(entries, np.int32), np.empty(entries, np.float32)
        _fill_dated(self._slots, rule, place_P, kept)
        return CountsByAge(*kept)

    @property
    def _slots(self) -> Slots:
        return self.start_P, self.codes, self.packing.shifts


def seen_by_age(days: Iterable[tuple[int, Rows, Rows]], products: int) -> CountsByAge:
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
        ("kinds", day.kind_E, 1 << KIND_BITS),
        ("sessions", day.sessions_E, 1 << 31),
    ):
        if len(column) and not 0 <= column.min() <= column.max() < end:
            raise ValueError(f"{name} must be from 0 to {end - 1:,}, got {column.min():,} to {column.max():,}")


def _own(column: npt.NDArray[np.integer]) -> Rows:
    """As every kernel gets it: one type and layout, and writable, which Arrow's arrays are not."""
    return np.require(column, np.int32, ("C", "W"))


def _ends(count_P: Keys) -> Keys:
    return np.concatenate([[0], np.cumsum(count_P)])


def _shares(start_P: Keys, workers: int) -> Keys:
    """Where each worker's queries begin, workers + 1, so that all have about as many entries."""
    wanted = np.linspace(0, start_P[-1], workers + 1)[1:-1]
    return np.concatenate([[0], np.searchsorted(start_P[:-1], wanted), [len(start_P) - 1]]).astype(np.int64)


@numba.njit(cache=True)
def _count(row_E: Rows, count_P: Keys) -> None:
    for row in row_E:
        count_P[row] += 1


@numba.njit(parallel=True, cache=True)
def _scatter(day: Day, shifts: Keys, bounds: Keys, next_P: Keys, codes: Keys) -> None:
    """Every worker reads all entries and writes those of its queries: no two write to one place."""
    age, both_ways, query_E, related_E, kind_E, sessions_E = day
    for worker in numba.prange(len(bounds) - 1):
        low, high = bounds[worker], bounds[worker + 1]
        for entry in range(len(query_E)):
            query, related = np.int64(query_E[entry]), np.int64(related_E[entry])
            rest = (age << shifts[1]) | (np.int64(kind_E[entry]) << shifts[0]) | np.int64(sessions_E[entry])
            if low <= query < high:
                codes[next_P[query]] = (related << shifts[2]) | rest
                next_P[query] += 1
            if both_ways and low <= related < high:
                codes[next_P[related]] = (query << shifts[2]) | rest
                next_P[related] += 1


@numba.njit(parallel=True, cache=True)
def _sort(start_P: Keys, codes: Keys, first_bit: int, end_bit: int) -> None:
    """Sort every query's codes by the bits from first_bit on: digit by digit, three times as fast as by comparing."""
    for query in numba.prange(len(start_P) - 1):
        of_query = codes[start_P[query] : start_P[query + 1]]
        if len(of_query) <= FEW:
            of_query.sort()
        else:
            _sort_digits(of_query, first_bit, end_bit)


@numba.njit(cache=True)
def _sort_digits(codes: Keys, first_bit: int, end_bit: int) -> None:
    one, other = codes, np.empty_like(codes)
    passes = 0
    for bit in range(first_bit, end_bit, DIGIT_BITS):
        _sort_digit(one, other, bit)
        one, other = other, one
        passes += 1
    if passes % 2:
        codes[:] = one


@numba.njit(cache=True)
def _sort_digit(from_: Keys, to: Keys, bit: int) -> None:
    mask = (1 << DIGIT_BITS) - 1
    next_ = np.zeros(mask + 2, np.int64)
    for code in from_:
        next_[((code >> bit) & mask) + 1] += 1
    for digit in range(mask):
        next_[digit + 1] += next_[digit]
    for code in from_:
        digit = (code >> bit) & mask
        to[next_[digit]] = code
        next_[digit] += 1


@numba.njit(cache=True)
def _parts(code: int, shifts: Keys) -> tuple[int, int, int]:
    """Age, kind and sessions."""
    age = (code >> shifts[1]) & ((1 << (shifts[2] - shifts[1])) - 1)
    kind = (code >> shifts[0]) & ((1 << (shifts[1] - shifts[0])) - 1)
    return age, kind, code & ((1 << shifts[0]) - 1)


@numba.njit(cache=True)
def _next_pair(slots: Slots, place: int, end: int, rule: Rule) -> tuple[int, np.float32]:
    """Where the related product at `place` ends, and its weighted sessions; 0 where too few sessions support it."""
    (_, codes, shifts), (first, until, min_support, weight_AK) = slots, rule
    related, support, weight = codes[place] >> shifts[2], 0, 0.0
    while place < end and codes[place] >> shifts[2] == related:
        age, kind, sessions = _parts(codes[place], shifts)
        if first <= age < until:
            support += sessions
            weight += sessions * weight_AK[age, kind]
        place += 1
    return place, np.float32(weight) if support >= min_support else np.float32(0)


@numba.njit(cache=True)
def _next_age(slots: Slots, place: int, end: int, rule: Rule) -> tuple[int, np.float32]:
    """Where the age at `place` of one related product ends, and its weighted sessions."""
    (_, codes, shifts), weight_AK = slots, rule[3]
    same, weight = codes[place] >> shifts[1], 0.0
    while place < end and codes[place] >> shifts[1] == same:
        age, kind, sessions = _parts(codes[place], shifts)
        weight += sessions * weight_AK[age, kind]
        place += 1
    return place, np.float32(weight)


@numba.njit(parallel=True, cache=True)
def _count_kept(slots: Slots, rule: Rule, by_age: bool) -> Keys:
    """Of every query, how many pairs the rule keeps; by_age: how many ages they have together."""
    start_P = slots[0]
    kept_P = np.zeros(len(start_P) - 1, np.int64)
    for query in numba.prange(len(kept_P)):
        place, kept = start_P[query], 0
        while place < start_P[query + 1]:
            dated = place
            place, weight = _next_pair(slots, place, start_P[query + 1], rule)
            kept += weight > 0 and not by_age
            while by_age and weight > 0 and dated < place:
                dated, of_age = _next_age(slots, dated, place, rule)
                kept += of_age > 0
        kept_P[query] = kept
    return kept_P


@numba.njit(parallel=True, cache=True)
def _fill_weights(slots: Slots, rule: Rule, indptr: Keys, kept_related: Rows, kept_weights: Floats) -> None:
    start_P, codes, shifts = slots
    for query in numba.prange(len(start_P) - 1):
        place, end, slot = start_P[query], start_P[query + 1], indptr[query]
        room, found = indptr[query + 1] - slot, 0
        related, weights = np.empty(end - place, np.int32), np.empty(end - place, np.float32)
        while place < end and room:
            related[found] = codes[place] >> shifts[2]
            place, weights[found] = _next_pair(slots, place, end, rule)
            found += weights[found] > 0
        heaviest = np.arange(found)
        if found > room:
            heaviest = np.sort(np.argsort(-weights[:found], kind="mergesort")[:room])
        for number in range(room):
            kept_related[slot + number] = related[heaviest[number]]
            kept_weights[slot + number] = weights[heaviest[number]]


@numba.njit(parallel=True, cache=True)
def _fill_dated(slots: Slots, rule: Rule, place_P: Keys, kept: tuple[Keys, Rows, Floats]) -> None:
    (start_P, codes, shifts), (keys, ages, counts) = slots, kept
    for query in numba.prange(len(start_P) - 1):
        place, slot = start_P[query], place_P[query]
        while place < start_P[query + 1]:
            dated = place
            place, weight = _next_pair(slots, place, start_P[query + 1], rule)
            while weight > 0 and dated < place:
                code = codes[dated]
                dated, of_age = _next_age(slots, dated, place, rule)
                if of_age > 0:
                    keys[slot] = np.int64(query) * (len(start_P) - 1) + (code >> shifts[2])
                    ages[slot] = _parts(code, shifts)[0]
                    counts[slot] = of_age
                    slot += 1
