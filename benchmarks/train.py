"""Seconds to train on made clicks and titles of the shape of a published data set."""

import json
import time
from enum import StrEnum
from typing import Annotated

import torch
import typer

from benchmarks.made_clicks import clicks, titles
from eclare.arrays.tfidf import Vocabulary
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.distributed import choose_device
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import Training, fresh_model, training_data_of
from eclare.model.training import Stage, run_stage


class Shape(StrEnum):
    """Points, labels and clicks a point of the data sets of the Extreme Classification Repository."""

    SMALL = "small"
    LF_AMAZON_TITLES_131K = "131k"
    LF_WIKI_SEE_ALSO_TITLES_320K = "320k"
    LF_AMAZON_TITLES_1_3M = "1.3m"


SIZES = {
    Shape.SMALL: (7_000, 3_800, 8.0),
    Shape.LF_AMAZON_TITLES_131K: (294_805, 131_073, 2.29),
    Shape.LF_WIKI_SEE_ALSO_TITLES_320K: (693_082, 312_330, 2.11),
    Shape.LF_AMAZON_TITLES_1_3M: (2_248_619, 1_305_265, 22.2),
}


def main(
    shape: Annotated[Shape, typer.Option(help="data set whose shape is made")] = Shape.LF_AMAZON_TITLES_131K,
    epochs: Annotated[
        int | None, typer.Option(help="epochs to run; the config's on a GPU and one on a CPU without it", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Ends with one line of JSON: seconds an epoch, seconds of graph and all epochs together, the device."""
    points, labels, per_point = SIZES[shape]
    config, where = ECLAREConfig(), choose_device(device)
    epochs = epochs or (config.epochs if where.type == "cuda" else 1)
    build_label_graph(clicks(100, 50, 2), config)  # compiles
    made, (point_titles, label_titles) = clicks(points, labels, per_point), (titles(points, 1), titles(labels, 2))
    start = time.perf_counter()
    vocabulary = Vocabulary.of([*point_titles, *label_titles], word_pairs=config.word_pairs)
    features = vocabulary.features(point_titles), vocabulary.features(label_titles)
    training = Training(made, Texts.of(*features, build_label_graph(made, config)), where)
    lesson = training_data_of(training, config)
    prepared = time.perf_counter()
    model = fresh_model(lesson.texts, config, where)
    run_stage(model, lesson, Stage("train", epochs, config.learning_rate, config.halve_learning_rate_every))
    if where.type == "cuda":
        torch.cuda.synchronize()
    end = time.perf_counter()
    print(model)
    figures = {
        "seconds_per_epoch": round((end - prepared) / epochs, 2),
        "seconds": round(end - start, 2),
        "seconds_of_features_and_graph": round(prepared - start, 2),
    }
    print(json.dumps(figures | {"epochs": epochs, "device": str(where)}))


if __name__ == "__main__":
    typer.run(main)
