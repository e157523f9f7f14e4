"""What the three steps with a model share: its device, its texts, the products it may recommend. Imports torch."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp
import torch

from eclare.model.data import Interactions, Texts
from eclare.model.ensemble import Ensemble
from eclare.model.inference import Rows
from eclare.model.label_graph import LabelGraph
from eclare.ranker import Ranker
from eclare.related.answers import Answers
from eclare.related.cooccurrence import Cooccurrence
from eclare.xc.co_clicks import CoClickScores
from tasks.errors import NotReady
from tasks.settings import Settings

FUSION = "fusion.safetensors"  # beside the model, where past nights taught how to weigh what is known


def choose_device(wanted: str) -> torch.device:
    """The device of the setting DEVICE; raises NotReady where a GPU is asked for and none is there."""
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise NotReady("DEVICE=cuda needs a GPU, torch sees none here: run on a GPU worker or set DEVICE=auto")
    return torch.device("cuda" if found and wanted != "cpu" else "cpu")


def load_texts(folder: Path) -> Texts:
    """Titles and graph neighbours as build_label_graph wrote them; points and labels are the same products."""
    titles = sp.load_npz(folder / "titles.npz").tocsr()
    return Texts.of(titles, titles, LabelGraph.load(folder))


def load_answers(inputs: Path, texts: Path, model: Path, settings: Settings, *, known_until: int) -> Answers:
    """The night's model with all clicks that were known `known_until` days before the night, ready to be asked.

    inputs, texts, model: what build_interactions, build_label_graph and train_model wrote. Without learnt weights the
    model's score and a bonus for co-clicks of the training days are added up.
    """
    titles = load_texts(texts).labels_LV
    ensemble = Ensemble.load(model, titles, choose_device(settings.device))
    allowed = recommendable(pq.read_table(inputs / "products.parquet"))
    known = ensemble, titles, Cooccurrence.load(inputs).until(known_until), allowed
    if (model / FUSION).exists():
        return Answers(*known, fusion=Ranker.load(model / FUSION))
    return Answers(
        *known, evidence=CoClickScores.of_products(Interactions.load(inputs / "training").weights_NL, titles)
    )


def recommendable(products: pa.Table) -> npt.NDArray[np.bool_]:
    """Which products of the catalogue may be recommended: those in stock and not blocked."""
    return np.asarray(pc.and_not(products["in_stock"], products["blocked"]).to_numpy().astype(bool))


def categories(products: pa.Table) -> Rows:
    """A number for the category of every product of the catalogue, -1 where it has none."""
    numbers = products["category"].combine_chunks().dictionary_encode().indices.fill_null(-1)
    return np.asarray(numbers.to_numpy(zero_copy_only=False).astype(np.int32))
