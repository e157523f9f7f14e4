"""Small shops with a model trained on them."""

from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from eclare.arrays.tfidf import Vocabulary
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import train
from eclare.ranker import Ranker
from eclare.related.backtest import ranker_from
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.like_titles import like_titles
from eclare.related.retraining import Learning, Retrained, retrain
from eclare.related.snapshot import Snapshot
from eclare.related.targets import Goal

CONFIG = ECLAREConfig(embedding_dim=16, epochs=6, batch_size=32)


def tfidf(titles: list[str]) -> sp.csr_matrix:
    return Vocabulary.of(titles).features(titles)


def trained(known: Cooccurrence, titles_PV: sp.csr_matrix, config: ECLAREConfig = CONFIG) -> Ensemble:
    clicks = known.matrix()
    texts = Texts.of(titles_PV, titles_PV, build_label_graph(clicks, config))
    return train(clicks, texts, config, torch.device("cpu"))


def snapshot_of(
    known: Cooccurrence, titles: list[str], allowed: np.ndarray | None = None, config: ECLAREConfig = CONFIG
) -> Snapshot:
    titles_PV = tfidf(titles)
    everything = np.ones(len(known), bool)
    allowed = everything if allowed is None else allowed
    return Snapshot(
        known, titles_PV, like_titles(titles_PV, known.paired()), trained(known, titles_PV, config), allowed
    )


def backtested(known: Cooccurrence, titles: list[str], goal: Goal = "basket") -> Ranker:
    """As train_model fits it."""
    return ranker_from(retrained(known, titles, goal).examples, goal, CONFIG.seed)


def retrained(
    known: Cooccurrence,
    titles: list[str],
    goal: Goal = "basket",
    config: ECLAREConfig = CONFIG,
    checkpoints: Path | None = None,
) -> Retrained:
    """As train_model does it."""
    titles_PV, learning = tfidf(titles), Learning(config, goal, np.inf, len(titles))
    texts = Texts.of(titles_PV, titles_PV, build_label_graph(learning.targets(known), config))
    return retrain(
        known, texts, like_titles(titles_PV, known.paired()), learning, torch.device("cpu"), checkpoints=checkpoints
    )
