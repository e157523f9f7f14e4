"""The ranking of a night from its artefacts, for the steps that train, judge and recommend. Imports torch."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp
import torch

from eclare.model import distributed
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import LabelGraph
from eclare.model.token_shortlists import TokenShortlists
from eclare.ranker import Ranker
from eclare.related.features import NAMES, WITH_SENTENCES
from eclare.related.like_sentences import ProductSentences
from eclare.related.snapshot import Snapshot
from tasks.errors import BadInput, NotReady
from tasks.model_config import SENTENCES, load_cooccurrence, load_like_titles
from tasks.publish.lists import recommendable
from tasks.settings import Settings

RANKER = "ranker.safetensors"  # beside the model


def choose_device(settings: Settings) -> torch.device:
    """The device of the setting DEVICE; raises NotReady where a GPU is asked for and none is there."""
    try:
        return distributed.choose_device(settings.device)
    except ValueError as error:
        raise NotReady(f"DEVICE: {error}; run on a worker with a GPU or set DEVICE=auto") from error


def load_texts(folder: Path) -> Texts:
    """Titles and graph neighbours as build_label_graph wrote them; points and labels are the same products."""
    titles = sp.load_npz(folder / "titles.npz").tocsr()
    return Texts.of(titles, titles, LabelGraph.load(folder))


def load_snapshot(inputs: Path, texts: Path, model: Path, settings: Settings, *, known_until: int) -> Snapshot:
    """What was known `known_until` days before the night, beside the night's model.

    inputs, texts, model: what build_interactions, build_label_graph and train_model wrote.
    """
    titles, like = load_texts(texts).labels_LV, load_like_titles(texts)
    ensemble = Ensemble.load(model, titles, choose_device(settings))
    allowed = recommendable(pq.read_table(inputs / "products.parquet"))
    known, shortlists = load_cooccurrence(inputs).until(known_until), TokenShortlists.load(model, ensemble, allowed)
    sentences = load_sentences(texts) if load_ranker(model).features == WITH_SENTENCES else None
    return Snapshot(known, titles, like, ensemble, allowed, shortlists, sentences)


def load_sentences(label_graph: Path) -> ProductSentences | None:
    """What a sentence encoder made of the titles; None where the night was built without one."""
    if not (label_graph / SENTENCES).exists():
        return None
    with np.load(label_graph / SENTENCES, allow_pickle=False) as file:
        vectors_PE = file["vectors_PE"].astype(np.float32)
        shape = (len(vectors_PE),) * 2
        like_PP = sp.csr_matrix((file["data"], file["indices"], file["indptr"]), shape=shape)
    return ProductSentences(vectors_PE, like_PP)


def load_ranker(model: Path) -> Ranker:
    """The ranker that train_model wrote; raises BadInput for one of other features than today's."""
    try:
        return Ranker.load(model / RANKER, NAMES, WITH_SENTENCES)
    except (OSError, ValueError) as error:
        raise BadInput(f"the night's ranker is not one of this code, run train_model again: {error}") from error
