"""Trainings alone and two at once on the same cores, under each setting of threads: whose wait spins, on whose time."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from statistics import median
from typing import Annotated

import typer

from tasks.settings import ROOT

TRAIN = [sys.executable, "-m", "benchmarks.train", "--shape", "small", "--device", "cpu", "--epochs"]
SPINNING = {"GOMP_SPINCOUNT": "300000"}  # what libgomp does by itself; it goes before OMP_WAIT_POLICY
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
SETTINGS = {
    "spinning": SPINNING,
    "OMP_WAIT_POLICY=PASSIVE": PASSIVE,
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "KMP_BLOCKTIME=0": {**SPINNING, "KMP_BLOCKTIME": "0"},
    "NUMBA_THREADING_LAYER=workqueue": {**SPINNING, "NUMBA_THREADING_LAYER": "workqueue"},
    "PASSIVE, workqueue": {**PASSIVE, "NUMBA_THREADING_LAYER": "workqueue"},
    "one thread": {**PASSIVE, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
}


def main(
    epochs: Annotated[int, typer.Option(help="epochs of each training", min=1)] = 3,
    repeats: Annotated[int, typer.Option(help="trainings of which the median counts", min=1)] = 3,
) -> None:
    """Ends with one line of JSON: by setting, seconds of a training alone and of the slower of two at once."""
    found: dict[str, dict[str, list[float]]] = {name: {"alone": [], "two": []} for name in SETTINGS}
    for _ in range(repeats):  # in turns, so that a machine that is shared disturbs all alike
        for name, variables in SETTINGS.items():
            found[name]["alone"].append(_slowest_of(1, epochs, variables))
            found[name]["two"].append(_slowest_of(2, epochs, variables))
    medians = {name: {how: round(median(each), 2) for how, each in seconds.items()} for name, seconds in found.items()}
    print(json.dumps({"epochs": epochs, "cores": os.cpu_count(), "seconds": medians}))


def _slowest_of(count: int, epochs: int, variables: Mapping[str, str]) -> float:
    """Seconds of training, without imports and compilation, of the slowest of `count` processes."""
    environment, command = {**os.environ, **variables}, [*TRAIN, str(epochs)]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise typer.Exit(1)
    return max(float(json.loads(text.splitlines()[-1])["seconds"]) for text in printed)


if __name__ == "__main__":
    typer.run(main)
