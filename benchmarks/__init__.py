"""Measurements, one command each: python -m benchmarks.<name>; figures and machines are in README.md."""
