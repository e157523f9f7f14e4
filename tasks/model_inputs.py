"""What the three steps with a model share: its device, its texts, the products it may recommend. Imports torch."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
import torch

from eclare.graph import LabelGraph
from eclare.texts import Texts
from tasks.errors import NotReady


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


def recommendable(products: pa.Table) -> npt.NDArray[np.bool_]:
    """Which products of the catalogue may be recommended: those in stock and not blocked."""
    return np.asarray(pc.and_not(products["in_stock"], products["blocked"]).to_numpy().astype(bool))
