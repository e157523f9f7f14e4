"""What each part of the method brings: metrics with it switched off, one at a time."""

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.trials import METRICS, Trial
from eclare.xc.config import RecommenderConfig

ALONE: dict[str, Any] = {"held_back_share": 0.0, "co_click_weight": 0.0}
PARTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no graph": {"use_graph": False},
    "no label text": {"use_label_text": False},
    "no refinement": {"use_refinement": False},
    "sum in place of attention": {"use_attention": False},
    "words alone": {"word_pairs": False},
    "no label points": {"label_point_targets": 0},
    "no co-click scores": {"co_click_weight": 0.0},
    "no ranker": {"held_back_share": 0.0},
    "model alone": ALONE,
    "model alone, no graph": ALONE | {"use_graph": False},
    "model alone, no label text": ALONE | {"use_label_text": False},
    "model alone, no refinement": ALONE | {"use_refinement": False},
    "model alone, sum": ALONE | {"use_attention": False},
    "model alone, no label points": ALONE | {"label_point_targets": 0},
    "binary cross-entropy": {"loss": "bce"},
}
ONE: dict[str, Any] = {"ensemble": 1}
PAPER_PARTS: dict[str, dict[str, Any]] = {
    "paper, 3 clusterings": {},
    "paper, 1 clustering": ONE,
    "paper, 1, residual factor 1": ONE | {"learnt_residual": False},
    "paper, 1, no graph-augmented prediction": ONE | {"graph_share": 0.0},
    "paper, 1, no graph": ONE | {"use_graph": False},
    "paper, 1, no label text": ONE | {"use_label_text": False},
    "paper, 1, no refinement": ONE | {"use_refinement": False},
    "paper, 1, sum in place of attention": ONE | {"use_attention": False},
}
SMALL: dict[str, Any] = {"cluster_bits": 0}  # as many clusters as a small catalogue fills
COMPARED: dict[str, tuple[str, dict[str, Any]]] = {
    "decaf, 3 clusterings": ("decaf", SMALL),
    "gandalf": ("gandalf", {}),
    "gandalf, no label points: plain classifiers": ("gandalf", {"label_point_targets": 0}),
}
CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "batches of 256, learning rate 0.005": {"batch_size": 256, "learning_rate": 0.005},
    "batches of 512, learning rate 0.005": {"batch_size": 512, "learning_rate": 0.005},
    "words alone": {"word_pairs": False},
    "15 epochs": {"epochs": 15},
    "4,096 negatives a step": {"negatives_per_batch": 4096},
    "10 label point targets": {"label_point_targets": 10},
    "co-click weight 0.7": {"co_click_weight": 0.7},
    "15% held back": {"held_back_share": 0.15},
    "ensemble of 2": {"ensemble": 2},
}


class Question(StrEnum):
    """What is asked of the method: what its parts bring, the same with the paper's stages and what it is compared with,
    or how it is best set."""

    PARTS = "parts"
    PAPER = "paper"
    CHOICES = "choices"


def main(
    data: Annotated[Path, typer.Option(help="Folder of an Extreme Classification data set")],
    withheld: Annotated[
        int, typer.Option(help="splits of the training points to choose on instead of the test points", min=0)
    ] = 0,
    question: Annotated[Question, typer.Option(help="rows of the table")] = Question.PARTS,
) -> None:
    """Train once per row, or once per row and split; ends with one line of JSON per row."""
    seeds = range(1, withheld + 1)
    trials = [Trial.of_withheld_points(data, seed) for seed in seeds] or [Trial.of_test_points(data)]
    published = RecommenderConfig.preset("paper-131k").options | SMALL
    compared = {row: RecommenderConfig.preset(name).options | part for row, (name, part) in COMPARED.items()}
    rows = {
        Question.PARTS: PARTS,
        Question.PAPER: {name: published | part for name, part in PAPER_PARTS.items()} | compared,
        Question.CHOICES: CHOICES,
    }[question]
    table = Table("", *METRICS, "seconds")
    for name, options in rows.items():
        start = time.perf_counter()
        found = [list(trial.metrics_of(RecommenderConfig.of(options)).values()) for trial in trials]
        means = [*np.mean(found, axis=0), (time.perf_counter() - start) / len(trials)]
        table.add_row(name, *(f"{mean:.1f}" for mean in means))
        figures = dict(zip([*METRICS, "seconds"], (round(float(mean), 2) for mean in means), strict=True))
        print(json.dumps({"row": name} | figures), flush=True)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
