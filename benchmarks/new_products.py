"""Train on a data set of the Extreme Classification Repository and write the best labels of its test points."""

import json
import time
from pathlib import Path
from typing import Annotated

import scipy.sparse as sp
import typer

from eclare.__main__ import as_matrix
from eclare.xc.config import RecommenderConfig
from eclare.xc.formats import read_points, read_training, test_file
from eclare.xc.recommender import Recommender


def main(
    data: Annotated[Path, typer.Option(help="Folder with trn/tst/lbl.json.gz or the bag-of-words files")],
    out: Annotated[Path, typer.Option(help="scipy CSR matrix, test points x labels")],
    config: Annotated[Path | None, typer.Option(help="JSON file of options")] = None,
) -> None:
    """Ends with one line of JSON: seconds of training, milliseconds per test point."""
    training = read_training(data)
    test = read_points(test_file(data))
    start = time.perf_counter()
    options = RecommenderConfig.load(config) if config else RecommenderConfig()
    fitted = Recommender.fit(training.points, training.labels, training.clicks_NL, options)
    trained = time.perf_counter()
    labels, scores = fitted.predict(test, 100)
    predicted = time.perf_counter()
    with out.open("wb") as file:
        sp.save_npz(file, as_matrix(labels, scores, len(fitted.label_ids_L)))
    figures = {"train_s": trained - start, "ms_per_point": 1e3 * (predicted - trained) / len(labels)}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    typer.run(main)
