"""What each part of the method brings: metrics with it switched off, one at a time."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from eclare.__main__ import as_matrix, best_of
from eclare.config import ECLAREConfig
from eclare.metrics import evaluate, inverse_propensities
from eclare.recommender import Recommender
from eclare.xc_format import drop_pairs, read_points, read_training, read_truth, test_file

SHOWN = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "recall@10")
PARTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no graph": {"use_graph": False},
    "no label text": {"use_label_text": False},
    "no refinement": {"use_refinement": False},
    "sum in place of attention": {"use_attention": False},
    "no label points": {"label_point_targets": 0},
    "no co-click evidence": {"evidence_weight": 0.0},
    "no learnt weighing of signals": {"held_back_share": 0.0},
    "model alone": {"held_back_share": 0.0, "evidence_weight": 0.0},
    "model alone, no label points": {"held_back_share": 0.0, "evidence_weight": 0.0, "label_point_targets": 0},
    "binary cross-entropy": {"loss": "bce"},
}
PAPER_PARTS: dict[str, dict[str, Any]] = {
    "paper, 3 clusterings": {},
    "paper, 1 clustering": {"ensemble": 1},
    "paper, 1, no graph-augmented prediction": {"ensemble": 1, "graph_share": 0.0},
    "paper, 1, no graph": {"ensemble": 1, "use_graph": False},
    "paper, 1, no refinement": {"ensemble": 1, "use_refinement": False},
    "paper, 1, sum in place of attention": {"ensemble": 1, "use_attention": False},
}


def main(
    data: Annotated[Path, typer.Option(help="Folder of an Extreme Classification data set")],
    seeds: Annotated[int, typer.Option(help="runs that are averaged", min=1)] = 1,
    paper: Annotated[bool, typer.Option(help="the paper's stages as well")] = True,
) -> None:
    """Train once per row and seed; ends with one line of JSON per row."""
    training = read_training(data)
    points = read_points(test_file(data))
    truth, dropped = read_truth(data, training.clicks_NL.shape[1])
    importance = inverse_propensities(training.clicks_NL)
    published = ECLAREConfig.preset("paper-131k").__dict__ | {"cluster_bits": 0}
    rows = PARTS | ({name: published | part for name, part in PAPER_PARTS.items()} if paper else {})
    table = Table("", *SHOWN, "train s")
    for name, options in rows.items():
        figures = []
        for seed in range(seeds):
            start = time.perf_counter()
            config = ECLAREConfig(**options | {"seed": seed})
            fitted = Recommender.fit(training.points, training.labels, training.clicks_NL, config)
            seconds = time.perf_counter() - start
            scores = drop_pairs(as_matrix(*fitted.predict(points, 100), truth.shape[1]), dropped)
            metrics = evaluate(best_of(scores, 10), truth, importance, (1, 3, 5, 10))
            value = {f"{metric.name}@{metric.k}": 100 * metric.value for metric in metrics}
            figures.append([*(value[metric] for metric in SHOWN), seconds])
        means = np.mean(figures, axis=0)
        table.add_row(name, *(f"{mean:.1f}" for mean in means))
        print(
            json.dumps({"row": name} | dict(zip([*SHOWN, "train_s"], means.round(2).tolist(), strict=True))), flush=True
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
