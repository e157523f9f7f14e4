"""Train on a data set of the Extreme Classification Repository and write the best labels of its test points."""

import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import scipy.sparse as sp
import typer

from eclare.__main__ import as_matrix
from eclare.xc.config import RecommenderConfig
from eclare.xc.formats import read_points, read_training, test_file
from eclare.xc.recommender import Recommender

ALONE = 1_000


def main(
    data: Annotated[Path, typer.Option(help="Folder with trn/tst/lbl.json.gz or the bag-of-words files")],
    out: Annotated[Path, typer.Option(help="scipy CSR matrix, test points x labels")],
    config: Annotated[Path | None, typer.Option(help="JSON file of options")] = None,
) -> None:
    """Ends with one line of JSON: seconds of training, milliseconds per test point, and of titles asked for alone."""
    training = read_training(data)
    test = read_points(test_file(data))
    start = time.perf_counter()
    options = RecommenderConfig.load(config) if config else RecommenderConfig()
    fitted = Recommender.fit(training.points, training.labels, training.clicks_NL, options)
    trained = time.perf_counter()
    labels, scores = fitted.predict(test, 100)
    predicted = time.perf_counter()
    alone_ms = [_milliseconds_alone(fitted, title) for title in test[:ALONE]] if isinstance(test, list) else []
    with out.open("wb") as file:
        sp.save_npz(file, as_matrix(labels, scores, len(fitted.label_ids_L)))
    figures = {"train_s": trained - start, "ms_per_point": 1e3 * (predicted - trained) / len(labels)}
    if alone_ms:
        figures |= {"median_ms_alone": np.median(alone_ms), "p99_ms_alone": np.percentile(alone_ms, 99)}
    print(json.dumps({name: round(float(value), 3) for name, value in figures.items()}))


def _milliseconds_alone(fitted: Recommender, title: str) -> float:
    start = time.perf_counter()
    fitted.recommend(title, 10)
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    typer.run(main)
