"""Random numbers for kernels: a function of a seed and a counter, so that the number of threads changes nothing."""

import numpy as np

from eclare.arrays.kernels import numba

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)  # what splitmix64 adds to its state for the next number


@numba.njit(cache=True)
def splitmix64(state: np.uint64) -> np.uint64:
    """64 mixed bits of a state (splitmix64: Steele, Lea, Flood, OOPSLA 2014)."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True)
def uniform(key: np.uint64, counter: int) -> float:
    """A number in [0, 1) from a key and a counter."""
    bits = splitmix64(key + np.uint64(counter + 1) * GOLDEN_GAMMA)
    return float(bits >> np.uint64(11)) * 2.0**-53


@numba.njit(cache=True)
def integer_below(end: int, seed: np.uint64) -> int:
    """A number from 0 to end - 1."""
    bits = splitmix64(seed * GOLDEN_GAMMA + np.uint64(0xBF58476D1CE4E5B9))
    return int(bits % np.uint64(end))
