"""The steps of a night: one file, one step, one function `step(night, settings) -> counts`."""

import os

# Here, because torch, numba and faiss read it when they load OpenMP: a thread that waits for work sleeps. Otherwise it
# spins on a core that another process could use (benchmarks/threads.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
