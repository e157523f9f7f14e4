"""What past nights of the same window teach: how much each signal is worth. Imports torch."""

from dataclasses import replace
from pathlib import Path

from eclare.arrays.products import keep_heaviest
from eclare.model.data import weighted
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import Training
from eclare.ranker import Ranker
from eclare.related.backtest import learn_ranking
from eclare.related.cooccurrence import Cooccurrence
from tasks.model_config import read_config
from tasks.night import Night
from tasks.settings import Settings


def learn_from_past_nights(inputs: Path, training: Training, night: Night, settings: Settings) -> Ranker | None:
    """Train the model again for some past nights of the training days, and see what would have foreseen their morrow.

    inputs: what build_interactions wrote. None where the training days are too few to teach anything.
    """
    config, titles = read_config(settings), training.texts.labels_LV
    config = replace(config, epochs=max(1, config.epochs // 2))  # weights learnt are as good: benchmarks/README.md
    pairs = Cooccurrence.load(inputs).until(night.held_out_days)

    def learn(known: Cooccurrence) -> Ensemble:
        heaviest = keep_heaviest(known.together(settings.half_life_days), settings.max_related)
        clicks = weighted(heaviest, config)
        texts = training.texts.with_graph(build_label_graph(clicks, config))
        aside = training.checkpoints and training.checkpoints / f"known_for_{known.days}_days"
        return replace(training, clicks_NL=clicks, texts=texts, checkpoints=aside, history=[]).ensemble(config)

    return learn_ranking(pairs, titles, learn, config.seed)
