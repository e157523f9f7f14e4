"""A training beside busy competitors on the same cores: how much slower it gets than its fair share of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Annotated

import typer

from tasks.settings import ROOT

TRAIN = [sys.executable, "-m", "benchmarks.train", "--shape", "small", "--device", "cpu", "--epochs"]
BUSY = "while True: pass"  # one core's worth


def main(
    competitors: Annotated[int, typer.Option(help="processes that compute without end", min=1)] = 2,
    epochs: Annotated[int, typer.Option(help="of a training", min=1)] = 3,
    repeats: Annotated[int, typer.Option(help="trainings of which the median counts", min=1)] = 5,
) -> None:
    """Ends with one line of JSON: seconds alone and beside the competitors, and the slowdown over the fair one.

    A training has a thread for each core, a competitor one. The scheduler gives all threads alike, so that a training
    that waits for nothing takes (cores + competitors) / cores times as long. Threads that spin while they wait for one
    that has no core, take longer: OMP_WAIT_POLICY is as tasks/__init__.py sets it.
    """
    cores, alone, beside = os.cpu_count() or 1, list[float](), list[float]()
    for _ in range(repeats):  # in turns, so that a machine that is shared disturbs both alike
        alone.append(_seconds(epochs))
        with _busy(competitors):
            beside.append(_seconds(epochs))
    fair, slowdown = (cores + competitors) / cores, median(beside) / median(alone)
    figures = {"alone": round(median(alone), 2), "beside": round(median(beside), 2)}
    figures |= {"slowdown": round(slowdown, 2), "fair": round(fair, 2), "over_fair": round(slowdown / fair, 2)}
    print(json.dumps({"cores": cores, "competitors": competitors, "epochs": epochs} | figures))


def _seconds(epochs: int) -> float:
    """Of training, without imports and compilation."""
    ended = subprocess.run([*TRAIN, str(epochs)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise typer.Exit(1)
    return float(json.loads(ended.stdout.splitlines()[-1])["seconds"])


@contextmanager
def _busy(count: int) -> Iterator[None]:
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    typer.run(main)
