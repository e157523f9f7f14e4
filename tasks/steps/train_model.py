"""Step 4: ECLARE learns from the training clicks, on a GPU where there is one, and the ranker from a backtest."""

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from eclare.model.data import weighted
from tasks.errors import BadInput
from tasks.model_config import load_cooccurrence, read_config, targets_of
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

if TYPE_CHECKING:
    from eclare.model.config import ECLAREConfig
    from eclare.model.stages import Training
    from eclare.ranker import Examples
    from eclare.related.cooccurrence import Cooccurrence


def train_model(night: Night, settings: Settings) -> dict[str, float]:
    """Train on the days before the cut, and fit the ranker on a backtest over the same days.

    Writes member_1/ with model.safetensors, config.json and label_graph.npz; ranker.safetensors; training.json and
    losses.png. A retry on the same machine goes on where a kill ended the last try. Raises BadInput for a config that
    cannot work and for a training that diverges.
    """
    storage, config = Storage(settings.storage_url), read_config(settings)
    made_from = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph")]
    # What takes seconds to load, once nothing is missing.
    from eclare.model.loss_curve import plot_losses
    from eclare.model.stages import Training
    from eclare.related.backtest import ranker_from
    from tasks.ranking import RANKER, choose_device, load_texts

    device, checkpoints = choose_device(settings), settings.state_folder / "checkpoints" / str(night)
    sources = {"config": config.hash}
    with (
        storage.open(made_from[0]) as inputs,
        storage.open(made_from[1]) as texts,
        storage.write(night.artefact("model"), made_from=made_from, sources=sources) as (folder, counts),
    ):
        known = load_cooccurrence(inputs).until(night.held_out_days)
        clicks = weighted(targets_of(known, settings), config)
        training = Training(clicks, load_texts(texts), device, checkpoints)
        try:
            ensemble = training.ensemble(config)
            examples = _backtest(known, training, config, settings)
        except FloatingPointError as error:
            raise BadInput(f"the model of night {night} did not learn: {error}") from error
        ensemble.save(folder)
        ranker_from(examples, settings.goal, config.seed).save(folder / RANKER)
        (folder / "training.json").write_text(json.dumps([epoch._asdict() for epoch in training.history]) + "\n")
        plot_losses(training.history, folder / "losses.png")
        shutil.rmtree(checkpoints, ignore_errors=True)
        counts |= {"parameters": ensemble.parameters, "epochs": config.epochs}
        counts["ranker_examples"] = sum(map(len, examples))
    return counts


def _backtest(
    cooccurrence: "Cooccurrence", training: "Training", config: "ECLAREConfig", settings: Settings
) -> "list[Examples]":
    """Train the model again on what was known at earlier cut-offs, and see what would have foreseen what followed.

    In half as many epochs: the ranker is as good (benchmarks/README.md).
    """
    from eclare.model.label_graph import build_label_graph
    from eclare.related.backtest import cutoffs, examples_at

    config, examples = replace(config, epochs=max(1, config.epochs // 2)), []
    for cutoff in cutoffs(cooccurrence, settings.goal, config.seed):
        clicks = weighted(targets_of(cutoff.known, settings), config)
        texts = training.texts.with_graph(build_label_graph(clicks, config))
        below = training.checkpoints and training.checkpoints / f"known_for_{cutoff.known.days}_days"
        ensemble = replace(training, clicks_NL=clicks, texts=texts, checkpoints=below, history=[]).ensemble(config)
        examples.append(examples_at(cutoff, training.texts.labels_LV, ensemble))
    return examples
