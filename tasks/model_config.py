"""The hyper-parameters of this installation's nights."""

from eclare.model.config import ECLAREConfig
from tasks.errors import BadInput
from tasks.settings import Settings

NIGHT = ECLAREConfig(
    word_pairs=False,  # on dated logs they bring nothing: benchmarks/README.md
    evidence_weight=0.0,
    held_back_share=0.0,
)
ONLY_FOR_FIT = ("evidence_weight", "held_back_share")  # a night always fits its ranker on a backtest


def read_config(settings: Settings) -> ECLAREConfig:
    """The night's options, changed by those that the JSON file ECLARE_CONFIG names.

    Raises BadInput for a file that does not read, and for an option that is unknown, cannot work or has no effect here.
    """
    if settings.eclare_config is None:
        return NIGHT
    try:
        config = ECLAREConfig.load(settings.eclare_config, NIGHT)
    except (OSError, ValueError) as error:
        raise BadInput(f"ECLARE_CONFIG must name a JSON file of ECLARE's options: {error}") from error
    if changed := [name for name in ONLY_FOR_FIT if getattr(config, name) != getattr(NIGHT, name)]:
        raise BadInput(
            f"ECLARE_CONFIG must set options that a night uses, {settings.eclare_config} sets {', '.join(changed)}, "
            "which only `eclare fit` uses: a night weighs co-clicks by its ranker; take them out"
        )
    return config
