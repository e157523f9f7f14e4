"""Measurements, one command each: python -m benchmarks.<name>; figures and machines are in README.md."""

import tasks  # noqa: F401  # OpenMP's setting, before anything loads it
