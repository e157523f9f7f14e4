"""What pages look like by what is known of their query: its history, its popularity, its category, its first source."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import Rows
from eclare.arrays.topk import PAD
from eclare.evaluation.lists import ListFigures, best_sellers, exposure, first_places
from eclare.evaluation.metrics import SEGMENTS, thirds

FILE = "lists.json"
HISTORY = {"no session": 0, "1 to 4 sessions": 1, "5 to 19 sessions": 5, "20 sessions and more": 20}  # at least so many
LARGEST_CATEGORIES = 10
OTHER_CATEGORIES, NO_CATEGORY = "other categories", "no category"
NONE = -1


class Segmentation(NamedTuple):
    """One way to divide N queries: by what, the names of its segments, and the place of each query among them, N.

    A query of NONE (-1) is in no segment.
    """

    by: str
    names: Sequence[str]
    place_N: npt.NDArray[np.integer]


class SegmentFigures(NamedTuple):
    """What the lists of one segment's queries look like.

    queries: in the segment; lists: of them, with a label; length: mean labels of these lists, all places counted;
    different: labels among their first places. Shares: most_shown, of these lists with the label that most of them
    show first; beyond_best_sellers, of their first places whose label is not among the best-selling tenth of all.
    """

    by: str
    segment: str
    queries: int
    lists: int
    length: float
    different: int
    most_shown: float
    beyond_best_sellers: float


class PageFigures(NamedTuple):
    """The figures of all lists, and those of each segment."""

    all: ListFigures
    segments: Sequence[SegmentFigures]

    def save(self, folder: Path) -> None:
        """Write lists.json."""
        written = {"all": self.all._asdict(), "segments": [segment._asdict() for segment in self.segments]}
        (folder / FILE).write_text(json.dumps(written, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "PageFigures":
        """Read what `save` wrote; raises ValueError where it is missing or of other figures."""
        try:
            written = json.loads((folder / FILE).read_text())
            segments = [SegmentFigures(**segment) for segment in written["segments"]]
            return cls(ListFigures(**written["all"]), segments)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{FILE} must hold the figures {', '.join(ListFigures._fields)} of all lists and those of segments, "
                f"got: {error}"
            ) from error


def segment_figures(
    labels_NK: Rows, popularity_L: npt.NDArray[np.floating], segmentations: Iterable[Segmentation]
) -> list[SegmentFigures]:
    """The figures of every segment that has a query, in the order of the segmentations and their names.

    labels_NK, popularity_L: as `list_figures` takes them.
    """
    is_best_seller_L = np.zeros(len(popularity_L), bool)
    is_best_seller_L[best_sellers(popularity_L)] = True
    found = []
    for by, names, place_N in segmentations:
        for place, name in enumerate(names):
            of_segment = labels_NK[place_N == place]
            if len(of_segment):
                found.append(_figures(by, name, of_segment, is_best_seller_L))
    return found


def _figures(by: str, name: str, labels_NK: Rows, is_best_seller_L: npt.NDArray[np.bool_]) -> SegmentFigures:
    lists, shown_L = len(first_places(labels_NK)), exposure(labels_NK, len(is_best_seller_L))
    return SegmentFigures(
        by,
        name,
        queries=len(labels_NK),
        lists=lists,
        length=int((labels_NK != PAD).sum()) / max(lists, 1),
        different=int((shown_L > 0).sum()),
        most_shown=int(shown_L.max(initial=0)) / max(lists, 1),
        beyond_best_sellers=int(shown_L[~is_best_seller_L].sum()) / max(int(shown_L.sum()), 1),
    )


def by_history(sessions_N: npt.NDArray[np.floating]) -> Segmentation:
    """Queries by how many sessions hold them."""
    return Segmentation("history", list(HISTORY), np.searchsorted(list(HISTORY.values()), sessions_N, side="right") - 1)


def by_popularity(sessions_N: npt.NDArray[np.floating]) -> Segmentation:
    """Head, torso and tail: a third of all sessions' products each, the most popular first; NONE without a session."""
    return Segmentation("popularity", SEGMENTS, np.where(sessions_N > 0, thirds(sessions_N), NONE))


def by_category(categories: Sequence[str | None]) -> Segmentation:
    """The categories with most queries by name, ties by name; the rest together, and those without one."""
    named, count = np.unique([name for name in categories if name is not None], return_counts=True)
    largest = [str(named[at]) for at in np.argsort(-count, kind="stable")[:LARGEST_CATEGORIES]]
    names = [*largest, OTHER_CATEGORIES, NO_CATEGORY]
    place = {name: number for number, name in enumerate(largest)} | {None: len(largest) + 1}
    return Segmentation("category", names, np.array([place.get(name, len(largest)) for name in categories], np.int64))


def by_first_source(labels_NK: Rows, sources_NK: npt.NDArray[np.int8], names: Sequence[str]) -> Segmentation:
    """Lists by the source of their first label, a place among the names; NONE where there is no label."""
    first_N = (
        np.where(labels_NK[:, 0] != PAD, sources_NK[:, 0], NONE)
        if labels_NK.shape[1]
        else np.full(len(labels_NK), NONE)
    )
    return Segmentation("first place from", names, first_N)
