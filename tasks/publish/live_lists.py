"""The lists that each night is evaluated by, kept so that a later night can judge those of the live version too."""

from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import Rows
from eclare.arrays.strings import Strings, pack, unpack
from eclare.arrays.topk import PAD
from tasks.errors import TaskError
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import select, transaction
from tasks.stores.rows import rows_in

FILE = "shown_lists.npz"


class Lists(NamedTuple):
    """Related products of Q queries, Q x K by rows of a catalogue, best first, PAD where there is none."""

    queries: Rows
    labels_QK: Rows


def save_lists(lists: Lists, ids_P: Strings, night: Night, folder: Path) -> None:
    """Write shown_lists.npz, by product id, with the cut until which these lists know the clicks."""
    listed = np.union1d(lists.queries, lists.labels_QK[lists.labels_QK != PAD])
    queries, labels_QK = (np.searchsorted(listed, rows) for rows in lists)
    labels_QK[lists.labels_QK == PAD] = PAD
    arrays = pack("ids", ids_P[listed]) | {"queries": queries, "related": labels_QK}
    np.savez(folder / FILE, allow_pickle=False, cut=night.first_held_out_day.isoformat(), **arrays)


def live_lists(night: Night, ids_P: Strings, allowed_P: npt.NDArray[np.bool_], settings: Settings) -> Lists | str:
    """The lists that the live version was evaluated by, or why they cannot be judged on this night's held-out days.

    They are of this night's catalogue ids_P: queries that it lacks are left out; so are products that it lacks
    or that may not be recommended now (allowed_P), and those after them move up.
    """
    with transaction(settings) as connection:
        found = select(connection, "live_model")
    if not found:
        return "no version is live"
    live, storage = Night.of(found[0]["night"], settings), Storage(settings.storage_url)
    try:
        model, evaluation = (storage.read(live.artefact(name)) for name in ("model", "evaluation"))
    except TaskError as error:
        return f"the evaluation of the live night {live} cannot be read: {error}"
    if model.hash != found[0]["model_hash"]:
        return f"the evaluation of night {live} is of another model than the one that is live"
    with storage.open(evaluation) as folder:
        if not (folder / FILE).exists():
            return f"the evaluation of the live night {live} is of older code and holds no lists"
        with np.load(folder / FILE, allow_pickle=False) as file:
            cut, ids = (date.fromisoformat(str(file["cut"])), unpack("ids", file, "run its evaluate_model again"))
            lists = Lists(file["queries"], file["related"])
    if cut > night.first_held_out_day:
        return f"the live version knows the clicks before {cut}, among them days that night {night} is judged on"
    return _in_catalogue(lists, rows_in(ids_P, ids), allowed_P)


def _in_catalogue(lists: Lists, row_of: Rows, allowed_P: npt.NDArray[np.bool_]) -> Lists:
    """row_of: the catalogue's row of each product of these lists, -1 where it has none."""
    query, label = row_of[lists.queries], np.where(lists.labels_QK == PAD, PAD, row_of[lists.labels_QK])
    label = np.where((label != PAD) & allowed_P[label], label, PAD)
    order = np.argsort(label == PAD, axis=1, kind="stable")
    return Lists(query[query != PAD], np.take_along_axis(label, order, axis=1)[query != PAD])
