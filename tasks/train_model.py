"""Step 4: ECLARE learns from the training clicks, on a GPU where there is one."""

from eclare.interactions import Interactions
from tasks.eclare_config import read_config
from tasks.errors import BadInput
from tasks.night import Night
from tasks.settings import Settings
from tasks.storage import Storage


def train_model(night: Night, settings: Settings) -> dict[str, float]:
    """Train on the days before the cut; write member_1/ with model.safetensors, config.json and label_graph.npz.

    Raises BadInput for a config that cannot work and for a training that diverges.
    """
    from eclare.stages import train
    from tasks.model_inputs import choose_device, load_texts

    storage, config = Storage(settings.storage_url), read_config(settings)
    interactions, label_graph = (storage.read(night.artefact(name)) for name in ("interactions", "label_graph"))
    device = choose_device(settings.device)
    with (
        storage.open(interactions) as clicks,
        storage.open(label_graph) as texts,
        storage.write(night.artefact("model"), made_from=[interactions, label_graph]) as (folder, counts),
    ):
        try:
            ensemble = train(Interactions.load(clicks / "training").weights_NL, load_texts(texts), config, device)
        except FloatingPointError as error:
            raise BadInput(f"the model of night {night} did not learn: {error}") from error
        ensemble.save(folder)
        counts |= {"parameters": ensemble.parameters, "epochs": config.epochs}
    return counts
