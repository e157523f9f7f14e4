"""Step 4: ECLARE learns from the training clicks, on a GPU where there is one, and the ranker from a backtest."""

import json
import shutil

from tasks.errors import BadInput
from tasks.model_config import load_cooccurrence, load_like_titles, read_config
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage


def train_model(night: Night, settings: Settings) -> dict[str, float]:
    """Train on the days before the cut, after earlier cut-offs of the same days, on which the ranker is fitted.

    Writes member_1/ with model.safetensors, config.json and label_graph.npz; ranker.safetensors; training.json and
    losses.png. A retry on the same machine goes on where a kill ended the last try. Raises BadInput for a config that
    cannot work and for a training that diverges.
    """
    storage, config = Storage(settings.storage_url), read_config(settings)
    made_from = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph")]
    # What takes seconds to load, once nothing is missing.
    from eclare.model.loss_curve import plot_losses
    from eclare.related.backtest import ranker_from
    from eclare.related.retraining import Learning, retrain
    from tasks.ranking import RANKER, choose_device, load_texts

    device, checkpoints = choose_device(settings), settings.state_folder / "checkpoints" / str(night)
    sources = {"config": config.hash}
    with (
        storage.open(made_from[0]) as inputs,
        storage.open(made_from[1]) as texts,
        storage.write(night.artefact("model"), made_from=made_from, sources=sources) as (folder, counts),
    ):
        known = load_cooccurrence(inputs).until(night.held_out_days)
        learning = Learning(config, settings.goal, settings.half_life_days, settings.max_related)
        try:
            made = retrain(known, load_texts(texts), load_like_titles(texts), learning, device, checkpoints=checkpoints)
        except FloatingPointError as error:
            raise BadInput(f"the model of night {night} did not learn: {error}") from error
        made.ensemble.save(folder)
        ranker_from(made.examples, settings.goal, config.seed).save(folder / RANKER)
        (folder / "training.json").write_text(json.dumps([epoch._asdict() for epoch in made.history]) + "\n")
        plot_losses(made.history, folder / "losses.png")
        shutil.rmtree(checkpoints, ignore_errors=True)
        counts |= {"parameters": made.ensemble.parameters, "epochs": len(made.history)}
        counts["ranker_examples"] = sum(map(len, made.examples))
    return counts
