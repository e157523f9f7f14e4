"""The hyper-parameters of this installation's nights, and what their model learns."""

from pathlib import Path

import scipy.sparse as sp

from eclare.model.config import ECLAREConfig
from eclare.model.data import Interactions
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.targets import model_targets
from tasks.errors import BadInput
from tasks.settings import Settings

# On dated logs pairs of words bring nothing (benchmarks/README.md), and a best seller is known without a model.
NIGHT = ECLAREConfig(word_pairs=False, negative_power=0.75)
LIKE_TITLES, SENTENCES = "like_titles.npz", "sentences.npz"  # beside the label graph


def load_cooccurrence(interactions: Path) -> Cooccurrence:
    """What build_interactions wrote into a folder; raises BadInput where it is of older code."""
    try:
        return Cooccurrence.load(interactions)
    except ValueError as error:
        raise BadInput(str(error)) from error


def load_interactions(folder: Path) -> Interactions:
    """Weighted clicks of training or held-out days; raises BadInput where they are of older code."""
    try:
        return Interactions.load(folder)
    except ValueError as error:
        raise BadInput(f"{folder.name} interactions: {error}") from error


def load_like_titles(label_graph: Path) -> sp.csr_matrix:
    """What build_label_graph found of titles that are alike; raises BadInput where it is of older code."""
    try:
        return sp.load_npz(label_graph / LIKE_TITLES).tocsr()
    except FileNotFoundError as error:
        raise BadInput(f"label_graph must hold {LIKE_TITLES}, got none: run build_label_graph again") from error


def targets_of(known: Cooccurrence, settings: Settings) -> sp.csr_matrix:
    """What the model of this installation's nights learns of what was known on a day, CSR P x P."""
    return model_targets(known, settings.goal, settings.half_life_days, settings.max_related)


def read_config(settings: Settings) -> ECLAREConfig:
    """The night's options, changed by those that the JSON file ECLARE_CONFIG names.

    Raises BadInput for a file that does not read, and for an option that is unknown or cannot work.
    """
    if settings.eclare_config is None:
        return NIGHT
    try:
        return ECLAREConfig.load(settings.eclare_config, NIGHT)
    except (OSError, ValueError) as error:
        raise BadInput(f"ECLARE_CONFIG must name a JSON file of ECLARE's options: {error}") from error
