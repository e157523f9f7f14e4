"""Seconds to train on made clicks and titles of the shape of a published data set."""

import json
import time
from typing import Annotated

import torch
import typer

from benchmarks.made_clicks import SIZES, Shape, clicks, titles
from eclare.arrays.tfidf import Vocabulary
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.distributed import choose_device
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import Training, fresh_model, training_data_of
from eclare.model.training import Stage, run_stage


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
