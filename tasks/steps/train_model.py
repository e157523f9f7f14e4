"""ECLARE learns from the training clicks, on a GPU where there is one, and the ranker from a backtest."""

import json
import tempfile
from pathlib import Path

from tasks.model_config import read_config
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage


def train_model(night: Night, settings: Settings) -> dict[str, float]:
    """Train on the days before the cut, after earlier cut-offs of the same days, on which the ranker is fitted.

    Writes member_1/ with model.safetensors, config.json and label_graph.npz; ranker.safetensors; training.json and
    losses.png; token_shortlists.npz of a large catalogue. A retry on the same machine goes on where a kill ended the
    last try. TRAIN_PROCESSES processes train, or one for each GPU where it is 0. Raises BadInput for a config that
    cannot work and for a training that diverges, NotReady where a GPU is missing and where one of several processes was
    killed.
    """
    storage, config = Storage(settings.storage_url), read_config(settings)
    made_from = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph")]
    # What takes seconds to load, once nothing is missing.
    from tasks.processes import start
    from tasks.training import COUNTS, Job, learning_of, processes_of, train

    processes, checkpoints = processes_of(settings), settings.state_folder / "checkpoints" / str(night)
    learning = learning_of(settings, config)
    sources = {"config": config.hash}
    with (
        storage.open(made_from[0]) as inputs,
        storage.open(made_from[1]) as texts,
        storage.write(night.artefact("model"), made_from=made_from, sources=sources) as (folder, counts),
    ):
        device, shard_labels = settings.device, settings.shard_label_table
        job = Job(night, inputs, texts, folder, checkpoints, learning, device, shard_labels)
        if processes == 1:
            counts |= train(job)
        else:
            with tempfile.TemporaryDirectory() as shared:
                job.save(Path(shared))
                start("tasks.training", Path(shared), processes)
                counts |= json.loads(Path(shared, COUNTS).read_text())
    return counts
