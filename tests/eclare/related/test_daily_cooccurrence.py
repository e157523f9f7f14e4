from collections import defaultdict

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.arrays.radix_sort import FEW
from eclare.related.cooccurrence import Cooccurrence, CountsByAge
from eclare.related.daily_cooccurrence import (
    LEAST_DECAY,
    DayCooccurrence,
    Weighting,
    WindowCooccurrence,
    WindowSize,
    sessions_by_age,
)
from eclare.related.packed_counts import CodeLayout

P = 6
Entry = tuple[int, int, int, int]  # query, related, event type, sessions
Day = tuple[int, bool, list[Entry]]  # age, symmetric, entries
WEIGHTS = (1.0, 2.5, 0.0)


def day_of(age: int, symmetric: bool, entries: list[Entry]) -> DayCooccurrence:
    query, related, kind, sessions = (list(column) for column in zip(*entries, strict=True)) if entries else ([],) * 4
    numbers = (np.array(column, dtype) for column, dtype in ((query, "i4"), (related, "i4"), (kind, "i1")))
    return DayCooccurrence(age, symmetric, *numbers, np.array(sessions, np.int32))


def add_up(days: list[Day]) -> WindowCooccurrence:
    return WindowCooccurrence.add_up([day_of(*day) for day in days], P)


def reference_by_age(days: list[Day], ages: range, weighting: Weighting) -> dict[tuple[int, int, int], float]:
    """The slow and obvious way: weighted sessions by query, related and age."""
    support, weight = defaultdict(int), defaultdict(float)
    for age, symmetric, entries in days:
        for query, related, event_type, sessions in entries if age in ages else []:
            for pair in ((query, related), (related, query)) if symmetric else ((query, related),):
                support[pair] += sessions
                weight[*pair, age] += sessions * weighting.weight_T[event_type]
    total = defaultdict(float)
    for (query, related, _), weighted in weight.items():
        total[query, related] += weighted
    enough = {pair for pair, sessions in support.items() if sessions >= weighting.min_support and total[pair] > 0}
    return {key: value for key, value in weight.items() if key[:2] in enough}


def reference_weights(
    days: list[Day], ages: range, half_life: float, weighting: Weighting, max_related: int
) -> dict[tuple[int, int], float]:
    weights: dict[tuple[int, int], float] = defaultdict(float)
    for (query, related, age), sessions in sorted(reference_by_age(days, ages, weighting).items()):
        weights[query, related] += sessions * 0.5 ** ((age - ages.start + 1) / half_life)
    kept = {}
    for query in range(P):
        mine = sorted((-np.float32(weight), related) for (q, related), weight in weights.items() if q == query)
        kept |= {(query, related): -weight for weight, related in mine[:max_related]}
    return kept


def as_dict(counts: CountsByAge) -> dict[tuple[int, int, int], float]:
    query, related = np.divmod(counts.key_E, P)
    keys = zip(query.tolist(), related.tolist(), counts.age_E.tolist(), strict=True)
    return dict(zip(keys, counts.count_E.tolist(), strict=True))


ENTRIES = st.lists(
    st.tuples(st.integers(0, P - 1), st.integers(0, P - 1), st.integers(0, 2), st.integers(1, 3)).filter(
        lambda entry: entry[0] != entry[1]
    ),
    max_size=12,
)
DAYS = st.lists(st.tuples(st.integers(0, 9), st.booleans(), ENTRIES), max_size=8)


@given(
    days=DAYS,
    ages=st.builds(range, st.integers(0, 5), st.integers(0, 12)),
    half_life=st.sampled_from([0.5, 3.0, np.inf]),
    min_support=st.integers(1, 5),
    max_related=st.integers(1, P),
)
@hypothesis_settings(max_examples=200)
def test_pairs_are_those_of_the_reference(days, ages, half_life, min_support, max_related) -> None:
    weighting, daily = Weighting(min_support, WEIGHTS), add_up(days)
    found = daily.weights(ages, half_life, weighting, max_related).tocoo()
    pairs = zip(found.row.tolist(), found.col.tolist(), strict=True)
    expected = reference_weights(days, ages, half_life, weighting, max_related)
    assert dict(zip(pairs, found.data.tolist(), strict=True)) == pytest.approx(expected)
    assert as_dict(daily.by_age(weighting)) == pytest.approx(reference_by_age(days, range(10), weighting))


@given(days=DAYS, cut=st.integers(0, 10), min_support=st.integers(1, 4))
@hypothesis_settings(max_examples=100)
def test_a_part_of_the_days_knows_what_it_would_know_without_the_others(days, cut, min_support) -> None:
    """No pair counts before a cut because it came again after it, whatever the types of click weigh."""
    for weights in (WEIGHTS, (1.0, 1.0, 1.0)):
        weighting, nobody = (
            Weighting(min_support, weights),
            CountsByAge(*(np.zeros(0, kind) for kind in ("i8", "i4", "f4"))),
        )
        whole = Cooccurrence(add_up(days).by_age(weighting), nobody, P, np.zeros(12, np.int64), min_support)
        assert (whole.counts.support_E is None) == (weights != WEIGHTS)
        before = [(age - cut, *day) for age, *day in days if age >= cut]
        after = [day for day in days if day[0] < cut]
        for part, alone in ((whole.until(cut), before), (whole.since(cut), after)):
            assert as_dict(part.counts) == as_dict(add_up(alone).by_age(weighting))


def many_days(products: int = 500, days: int = 12, entries: int = 20_000) -> list[DayCooccurrence]:
    """Some products in most pairs, sessions and event types of all sizes, a pair of a day more than once."""
    chance, made = np.random.default_rng(3), []
    for age in range(days):
        query, related = (np.minimum(chance.zipf(1.2, entries), products).astype(np.int32) - 1 for _ in range(2))
        kind, sessions = chance.integers(0, 3, entries).astype(np.int8), chance.zipf(1.5, entries).clip(1, 2**20)
        apart = query != related
        columns = (query[apart], related[apart], kind[apart], sessions.astype(np.int32)[apart])
        made.append(DayCooccurrence(age, bool(age % 2), *columns))
    return made


def test_every_number_of_threads_gives_the_same() -> None:
    before, found = numba.get_num_threads(), []
    try:
        for threads in range(1, before + 1):
            numba.set_num_threads(threads)
            daily = WindowCooccurrence.add_up(many_days(), 500)
            matrix = daily.weights(range(2, 9), 5.0, Weighting(2, WEIGHTS), 20)
            by_age = daily.by_age(Weighting(2, WEIGHTS))
            arrays = (
                daily.counts.codes,
                matrix.data,
                matrix.indices,
                matrix.indptr,
                by_age.key_E,
                by_age.age_E,
                by_age.count_E,
            )
            found.append([array.tobytes() for array in arrays])
    finally:
        numba.set_num_threads(before)
    assert len(found[0][0]) > 0 and all(arrays == found[0] for arrays in found)


def test_the_order_of_the_days_and_of_their_entries_does_not_matter() -> None:
    chance, days = np.random.default_rng(4), many_days()
    shuffled = []
    for day in reversed(days):
        order = chance.permutation(len(day.query_E))
        columns = (day.query_E[order], day.related_E[order], day.event_type_E[order], day.sessions_E[order])
        shuffled.append(DayCooccurrence(day.age, day.symmetric, *columns))
    found, again = (WindowCooccurrence.add_up(made, 500).by_age(Weighting(2, WEIGHTS)) for made in (days, shuffled))
    assert len(found.key_E)
    for name in ("key_E", "age_E", "count_E"):
        assert np.array_equal(getattr(found, name), getattr(again, name)), name


@given(days=DAYS, entries_at_once=st.integers(1, 30), min_support=st.integers(1, 3))
@hypothesis_settings(max_examples=100)
def test_some_queries_at_a_time_give_what_all_together_give(days, entries_at_once, min_support) -> None:
    made, weighting = [day_of(*day) for day in days], Weighting(min_support, WEIGHTS)
    whole, size = WindowCooccurrence.add_up(made, P), WindowSize.of(made, P)
    ranges = list(size.ranges(entries_at_once))
    assert [query for queries in ranges for query in queries] == list(range(P))
    assert all(size.entries_P[list(queries)].sum() <= entries_at_once or len(queries) == 1 for queries in ranges)
    parts = [WindowCooccurrence.of_queries(made, size, queries) for queries in ranges]
    found, expected = CountsByAge.joined([part.by_age(weighting) for part in parts]), whole.by_age(weighting)
    for name in ("key_E", "age_E", "count_E", "support_E"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    weights = [part.weights(range(2, 8), 3.0, weighting, 2).toarray() for part in parts]
    assert np.array_equal(np.vstack(weights), whole.weights(range(2, 8), 3.0, weighting, 2).toarray())


def test_days_that_change_between_two_readings_are_written_nowhere_else() -> None:
    few, many = ([day_of(0, False, [(0, 1, 0, 1)] * count)] for count in (2, 5))
    counts = WindowCooccurrence.of_queries(many, WindowSize.of(few, P), range(P)).counts
    assert len(counts.codes) == 2 and len(set(counts.codes.tolist())) == 1


def test_queries_of_many_codes_are_sorted_as_those_of_few() -> None:
    """Rows longer and shorter than FEW, and numbers of digits even and odd."""
    for products in (70, 500, 2_000, 100_000):
        counts = WindowCooccurrence.add_up(many_days(products, entries=2_000), products).counts
        sizes = np.diff(counts.indptr)
        assert sizes.max() > FEW > sizes[sizes > 0].min()
        for query in np.flatnonzero(sizes):
            codes = counts.codes[counts.indptr[query] : counts.indptr[query + 1]] >> counts.event_type_bit
            assert (np.diff(codes) >= 0).all()


def test_rare_and_heavy_sessions_keep_every_unit() -> None:
    daily = add_up([(0, False, [(0, 1, 0, 2**31 - 1)]), (9, False, [(0, 1, 2, 1), (0, P - 1, 1, 1)])])
    assert as_dict(daily.by_age(Weighting(1, (1.0, 1.0, 1.0)))) == {
        (0, 1, 0): 2**31, (0, 1, 9): 1, (0, P - 1, 9): 1
    }  # fmt: skip  # 2^31 is the float32 nearest to 2^31 - 1


def test_however_old_a_pair_that_counts_has_a_weight() -> None:
    daily = add_up([(9, False, [(0, 1, 0, 3)])])
    assert daily.weights(range(10), 0.01, Weighting(3, (1.0,)), P)[0, 1] == 3 * LEAST_DECAY


def test_no_day_and_no_pair() -> None:
    for days in ([], [(3, True, [])]):
        assert not len(add_up(days).counts.codes)
        assert add_up(days).weights(range(10), 1.0, Weighting(1, (1.0,)), P).nnz == 0
        assert as_dict(add_up(days).by_age(Weighting(1, (1.0,)))) == {}


def test_products_outside_the_catalogue_are_left_out_and_their_sessions_counted() -> None:
    entries, rows = [(0, 1, 0, 2), (0, 2, 1, 3), (1, 2, 2, 4)], np.array([3, -1, 5], np.int32)
    for symmetric, lost in ((True, 2 * (2 + 4)), (False, 2 + 4)):
        inside = day_of(1, symmetric, entries).in_catalogue(rows)
        assert inside.outside == lost
        kept = (inside.query_E, inside.related_E, inside.event_type_E, inside.sessions_E)
        assert [column.tolist() for column in kept] == [[3], [5], [1], [3]]
        assert WindowSize.of([inside, inside], 6).outside_A.tolist() == [0, 2 * lost]
    inside = day_of(1, True, entries).in_catalogue(np.array([0, 3, 4], np.int32))
    assert (inside.query_E.tolist(), inside.related_E.tolist(), inside.outside) == ([0, 0, 3], [3, 4, 4], 0)


def test_arrow_s_arrays_that_cannot_be_written_are_read() -> None:
    day = day_of(0, True, [(0, 1, 0, 2)])
    for column in (day.query_E, day.related_E, day.event_type_E, day.sessions_E):
        column.flags.writeable = False
    assert len(WindowCooccurrence.add_up([day], P).counts.codes) == 2


def test_products_are_sessions_by_age() -> None:
    rows, sessions = np.array([2, -1, 0], np.int32), np.array([4, 9, 0], np.int32)
    seen = sessions_by_age([(7, rows, sessions), (1, rows, sessions + 1), (3, rows[:0], sessions[:0])], 3)
    assert list(zip(seen.key_E.tolist(), seen.age_E.tolist(), seen.count_E.tolist(), strict=True)) == [
        (0, 1, 1), (2, 1, 5), (2, 7, 4)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ((0, P, 0, 1), "rows of products must be from 0 to 5, got 6 to 6"),
        ((-1, 0, 0, 1), "rows of products must be from 0 to 5, got -1 to -1"),
        ((0, 1, 4, 1), "event types must be from 0 to 3, got 4 to 4"),
        ((0, 1, 0, -1), "sessions must be from 0 to 2,147,483,647, got -1 to -1"),
    ],
)
def test_numbers_out_of_range_are_refused(entry: Entry, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add_up([(0, True, [entry])])


def test_what_does_not_hold_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be as many, got \[1, 1, 1, 0\]"):
        DayCooccurrence(0, True, *(np.zeros(1, np.int32),) * 3, np.zeros(0, np.int32))
    with pytest.raises(ValueError, match="days before the night, 0 or more, got -1"):
        day_of(-1, True, [])
    with pytest.raises(ValueError, match="finite numbers of 0 or more, got"):
        Weighting(1, (1.0, -1.0))
    with pytest.raises(ValueError, match=r"leave 21 bits .* got 2,147,483,647 sessions: take fewer days"):
        CodeLayout.of(2**31, 365, 2**31 - 1)
