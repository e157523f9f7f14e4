"""Seconds and memory of the label graph on made clicks of any size."""

import json
import resource
import time
from typing import Annotated

import typer

from benchmarks.made_clicks import clicks
from eclare.model.config import ECLAREConfig
from eclare.model.label_graph import build_label_graph


def main(
    labels: Annotated[int, typer.Option(help="L")] = 131_073,
    points: Annotated[int, typer.Option(help="N")] = 294_805,
    points_per_label: Annotated[float, typer.Option(help="clicks over labels")] = 5.15,
) -> None:
    """Ends with one line of JSON; peak_gib is that of the whole process, made clicks included."""
    config = ECLAREConfig()
    build_label_graph(clicks(100, 50, 2), config)  # compiles
    made = clicks(points, labels, points_per_label * labels / points)
    start = time.perf_counter()
    graph = build_label_graph(made, config)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(graph)
    figures = {"seconds": seconds, "peak_gib": peak, "microseconds_per_label": 1e6 * seconds / labels}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()} | {"clicks": made.nnz}))


if __name__ == "__main__":
    typer.run(main)
