"""The hyper-parameters of this installation."""

from eclare.model.config import ECLAREConfig
from tasks.errors import BadInput
from tasks.settings import Settings

WORD_PAIRS = False  # on dated logs they bring nothing: benchmarks/README.md


def read_config(settings: Settings) -> ECLAREConfig:
    """The options of the JSON file ECLARE_CONFIG, or the night's own; raises BadInput for one that cannot work."""
    if settings.eclare_config is None:
        return ECLAREConfig(word_pairs=WORD_PAIRS)
    try:
        return ECLAREConfig.load(settings.eclare_config)
    except (OSError, ValueError) as error:
        raise BadInput(f"ECLARE_CONFIG must name a JSON file of ECLARE's options: {error}") from error
