"""ECLARE on a data set of the Extreme Classification Repository, in its raw or its bag-of-words layout.

Reproduce a row of its tables:

    python -m eclare fit --data LF-AmazonTitles-131K --model model

    python -m eclare predict --model model --data LF-AmazonTitles-131K/tst.json.gz --out predictions.npz

    python -m eclare evaluate --data LF-AmazonTitles-131K --predictions predictions.npz
"""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import scipy.sparse as sp
import typer
from rich.console import Console
from rich.table import Table

from eclare.arrays.csr import rows_of
from eclare.arrays.tfidf import Vocabulary
from eclare.arrays.topk import best_per_row
from eclare.evaluation.metrics import PROPENSITY_A, PROPENSITY_B, Metric, inverse_propensities
from eclare.evaluation.metrics import evaluate as judge
from eclare.model import distributed
from eclare.model.config import PRESETS
from eclare.model.distributed import choose_device
from eclare.model.loss_curve import plot_losses
from eclare.xc.config import RecommenderConfig
from eclare.xc.formats import drop_excluded, read_points, read_training, read_truth, test_file, write_sparse
from eclare.xc.recommender import Recommender

app = typer.Typer(help=__doc__, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
DataSet = Annotated[
    Path, typer.Option(help="Folder with trn/tst/lbl.json.gz, or trn_X_Xf.txt, trn_X_Y.txt, lbl_X_Xf.txt, tst_...")
]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda")]
KS = (1, 3, 5)


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of the user's making end in one line instead of a traceback."""
    try:
        yield
    except (ValueError, OSError, FloatingPointError) as error:
        typer.echo(f"eclare: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def fit(
    data: DataSet,
    model: Annotated[Path, typer.Option(help="Folder to write the trained model to")],
    preset: Annotated[str, typer.Option(help=f"Options, of a system in docs/xc.md: {', '.join(PRESETS)}")] = "default",
    config: Annotated[
        Path | None, typer.Option(help="JSON file of options instead; defaults for those left out")
    ] = None,
    warm_start: Annotated[Path | None, typer.Option(help="Earlier model of like options to start from")] = None,
    device: Device = "auto",
) -> None:
    """Learn from the training points of DATA and write the model, beside it its loss curve.

    Killed, it goes on where it was when called again with the same words. Several processes: torchrun --nproc-per-node
    2 -m eclare fit ...
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with _explained(), distributed.process_group(choose_device(device)):
        training = read_training(data)
        start = time.perf_counter()
        options = RecommenderConfig.load(config) if config else RecommenderConfig.preset(preset)
        checkpoints = model.with_name(f"{model.name}.checkpoints")
        fitted = Recommender.fit(
            training.points,
            training.labels,
            training.clicks_NL,
            options,
            label_ids=training.label_ids_L.tolist(),
            device=device,
            checkpoints=checkpoints,
            warm_start=Recommender.load(warm_start, device) if warm_start else None,
        )
        fitted.save(model)
        if distributed.rank():
            return
        plot_losses(fitted.history, model / "losses.png")
        shutil.rmtree(checkpoints, ignore_errors=True)
    typer.echo(f"{fitted} in {time.perf_counter() - start:.1f} s, written to {model}")


@app.command()
def predict(
    model: Annotated[Path, typer.Option(help="Folder that fit wrote")],
    data: Annotated[Path, typer.Option(help="Points to answer for: tst.json.gz or tst_X_Xf.txt")],
    out: Annotated[Path, typer.Option(help="scipy CSR matrix, points x labels; a higher score is better")],
    top_k: Annotated[int, typer.Option(min=1, help="Labels kept per point")] = 100,
    device: Device = "auto",
) -> None:
    """Write the best labels of every point; with a sentence encoder, say what it costs a title."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with _explained():
        points = read_points(data)
        labels, scores = (fitted := Recommender.load(model, device)).predict(points, top_k)
        matrix = as_matrix(labels, scores, len(fitted.label_ids_L))
        with out.open("wb") as file:
            sp.save_npz(file, matrix)
    typer.echo(f"{matrix.shape[0]:,} points x {matrix.shape[1]:,} labels, {matrix.nnz:,} scores, written to {out}")


@app.command()
def evaluate(
    data: DataSet,
    predictions: Annotated[Path, typer.Option(help="What predict wrote")],
    without_empty: Annotated[
        bool,
        typer.Option(
            "--without-empty", help="Leave out test points whose truth the filter emptied; the authors count them as 0"
        ),
    ] = False,
    propensity_a: Annotated[float, typer.Option(help="A of the propensity model")] = PROPENSITY_A,
    propensity_b: Annotated[float, typer.Option(help="B of the propensity model")] = PROPENSITY_B,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON instead of a table")] = False,
) -> None:
    """P, PSP, nDCG, recall and coverage at 1, 3, 5; entries of filter_labels_test.txt count nowhere.

    All test points count, as in the authors' evaluation: one whose every label is such an entry earns 0.
    """
    with _explained():
        clicks = read_training(data).clicks_NL
        truth, excluded = read_truth(data, clicks.shape[1])
        scores = sp.load_npz(predictions).tocsr()
        if scores.shape != truth.shape:
            raise ValueError(f"{predictions} must be test points x labels = {truth.shape}, got {scores.shape}")
        scores = drop_excluded(scores, excluded)
        weights_L = inverse_propensities(clicks, propensity_a, propensity_b)
        metrics = judge(best_of(scores, max(KS)), truth, weights_L, KS, count_empty=not without_empty)
    if as_json:
        typer.echo(json.dumps({f"{metric.name}@{metric.k}": round(100 * metric.value, 2) for metric in metrics}))
    else:
        Console().print(_table(metrics))


@app.command()
def convert(
    data: Annotated[Path, typer.Option(help="Folder with trn/tst/lbl.json.gz")],
    out: Annotated[Path, typer.Option(help="Folder for trn_X_Xf.txt, trn_X_Y.txt, lbl_X_Xf.txt, tst_... and Xf.txt")],
) -> None:
    """Turn a data set of titles into bags of words, for tools that want those."""
    with _explained():
        training = read_training(data)
        test, (truth, _) = read_points(test_file(data)), read_truth(data, training.clicks_NL.shape[1])
        if isinstance(training.points, sp.csr_matrix) or isinstance(training.labels, sp.csr_matrix):
            raise ValueError(f"{data} must have the raw layout (titles), it holds bags of words already")
        vocabulary = Vocabulary.of([*training.points, *training.labels])
        out.mkdir(parents=True, exist_ok=True)
        for name, titles in (("trn", training.points), ("lbl", training.labels), ("tst", test)):
            write_sparse(out / f"{name}_X_Xf.txt", vocabulary.features(titles))
        write_sparse(out / "trn_X_Y.txt", training.clicks_NL)
        write_sparse(out / "tst_X_Y.txt", truth)
        (out / "Xf.txt").write_text("\n".join(vocabulary.tokens_V) + "\n")
    typer.echo(f"{len(training.points):,} points, {len(training.labels):,} labels written to {out}")


def as_matrix(labels_NK: np.ndarray, scores_NK: np.ndarray, labels: int) -> sp.csr_matrix:
    """Recommended labels as CSR, points x labels; scores are moved to be positive, so that none reads as absent."""
    row, place = np.nonzero(labels_NK >= 0)
    score = scores_NK[row, place]
    return sp.csr_matrix((score - score.min(initial=0) + 1, (row, labels_NK[row, place])), (len(labels_NK), labels))


def best_of(scores: sp.csr_matrix, k: int) -> np.ndarray:
    """The k best-scored labels of every point, N x k."""
    return best_per_row(rows_of(scores), scores.indices, scores.data, scores.shape[0], k)[0]


def _table(metrics: list[Metric]) -> Table:
    table = Table("metric", *(f"@{k}" for k in KS))
    for name in dict.fromkeys(metric.name for metric in metrics):
        table.add_row(name, *(f"{100 * metric.value:.2f}" for metric in metrics if metric.name == name))
    return table


if __name__ == "__main__":
    app()
