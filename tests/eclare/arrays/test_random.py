import numpy as np

from eclare.arrays.random import integer_below, uniform

PUBLISHED = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431)  # from state 1234567


def test_numbers_are_those_of_splitmix64() -> None:
    found = [uniform(np.uint64(1234567), counter) for counter in range(4)]
    assert found == [(bits >> 11) / 2**53 for bits in PUBLISHED]


def test_integers_below_an_end_are_spread_evenly() -> None:
    drawn = [integer_below(5, np.uint64(seed)) for seed in range(5000)]
    assert np.bincount(drawn, minlength=5).min() > 850 and max(drawn) == 4
