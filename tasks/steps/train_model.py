"""Step 4: ECLARE learns from the training clicks, on a GPU where there is one."""

import json
import shutil

from eclare.model.data import Interactions, weighted
from tasks.errors import BadInput
from tasks.model_config import read_config
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage


def train_model(night: Night, settings: Settings) -> dict[str, float]:
    """Train on the days before the cut, and learn on past nights how to weigh the model beside all else that is known.

    Writes member_1/ with model.safetensors, config.json and label_graph.npz; fusion.safetensors where past nights
    teach; training.json and losses.png. A retry on the same machine goes on where a kill ended the last try. Raises
    BadInput for a config that cannot work and for a training that diverges.
    """
    from eclare.model.loss_curve import plot_losses
    from eclare.model.stages import Training
    from tasks.past_nights import learn_from_past_nights
    from tasks.ranking import FUSION, choose_device, load_texts

    storage, config = Storage(settings.storage_url), read_config(settings)
    interactions, label_graph = (storage.read(night.artefact(name)) for name in ("interactions", "label_graph"))
    device, checkpoints = choose_device(settings.device), settings.state_folder / "checkpoints" / str(night)
    with (
        storage.open(interactions) as inputs,
        storage.open(label_graph) as texts,
        storage.write(night.artefact("model"), made_from=[interactions, label_graph]) as (folder, counts),
    ):
        clicks = weighted(Interactions.load(inputs / "training").weights_NL, config)
        training = Training(clicks, load_texts(texts), device, checkpoints)
        try:
            ensemble = training.ensemble(config)
            fusion = learn_from_past_nights(inputs, training, night, settings) if config.held_back_share else None
        except FloatingPointError as error:
            raise BadInput(f"the model of night {night} did not learn: {error}") from error
        ensemble.save(folder)
        if fusion is not None:
            fusion.save(folder / FUSION)
        (folder / "training.json").write_text(json.dumps([epoch._asdict() for epoch in training.history]) + "\n")
        plot_losses(training.history, folder / "losses.png")
        shutil.rmtree(checkpoints, ignore_errors=True)
        counts |= {
            "parameters": ensemble.parameters,
            "epochs": config.epochs,
            "weights_learnt": int(fusion is not None),
        }
    return counts
