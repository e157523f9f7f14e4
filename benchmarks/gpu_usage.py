"""How much of a stretch of time a GPU computes, as its driver tells."""

import shutil
import statistics
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

SECONDS_BETWEEN = 0.5
QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")


@contextmanager
def utilisation(device: torch.device) -> Iterator[dict[str, float | str]]:
    """Fills in the mean percent on leaving, or why there is none; on a CPU nothing."""
    found: dict[str, float | str] = {}
    if device.type != "cuda":
        yield found
        return
    stop, percents = threading.Event(), []
    try:
        read = _reader()
    except LookupError as error:
        found["utilisation"] = str(error)
        yield found
        return

    def sample() -> None:
        while not stop.wait(SECONDS_BETWEEN):
            percents.append(read())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(10)
        if percents:
            found["utilisation_percent"] = statistics.mean(percents)


def _reader() -> Callable[[], float]:
    """torch's own, by pynvml, or nvidia-smi; raises LookupError where neither answers."""
    told = []
    for name, read in (("torch.cuda.utilization", torch.cuda.utilization), ("nvidia-smi", _by_nvidia_smi)):
        try:
            read()
        except Exception as error:  # of packages and drivers that are away or refuse: many kinds
            told.append(f"{name}: {error}")
        else:
            return read
    raise LookupError(f"not told by {'; nor by '.join(told)}")


def _by_nvidia_smi() -> float:
    if not shutil.which(QUERY[0]):
        raise LookupError("not there")
    lines = subprocess.run(QUERY, capture_output=True, text=True, timeout=10, check=True).stdout.split()
    return float(lines[torch.cuda.current_device()])
