"""The report of a night as data, read from PostgreSQL and the model's folder."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.night import Night
from tasks.report.figures import Figures, figures_of
from tasks.stores.artefacts import Storage
from tasks.stores.database import Connection, select

if TYPE_CHECKING:
    from eclare.evaluation.list_segments import PageFigures
    from eclare.model.checkpoint import Epoch

DAYS = 60  # nights before this one that the pictures show
SAMPLED, RANKS = 3, 5  # products shown most often, and as many of head, torso, tail and cold; related products of each

Row = Mapping[str, Any]


class Found(NamedTuple):
    """What the night's folders say: epochs of the training, figures of the lists, live days that were not judged."""

    training: "Sequence[Epoch]"
    lists: "PageFigures | None"
    not_judged: Sequence[str]


@dataclass(frozen=True)
class Report:
    """Rows of PostgreSQL, and what the artefacts say of the training and of the lists.

    version has nulls alone where the night made none; metrics: over the nights; figures: this night's, beside rivals;
    while_live: what readers saw, judged on the days that they saw it.
    """

    version: Row
    verdicts: Sequence[Row]
    moves: Sequence[Row]
    metrics: Sequence[Row]
    figures: Figures
    gate_measurements: Sequence[Row]
    while_live: Sequence[Row]
    samples: Sequence["Sample"]
    found: "Found"

    @property
    def failed(self) -> list[Row]:
        """Verdicts of the rules that refuse the version."""
        return self._broken("stop")

    @property
    def warned(self) -> list[Row]:
        """Verdicts of the rules that ask somebody to look."""
        return self._broken("warn")

    def _broken(self, level: str) -> list[Row]:
        return [verdict for verdict in self.verdicts if not verdict["passed"] and verdict["level"] == level]

    @property
    def headline(self) -> str:
        """What became of the night, in one sentence: with times, since the page is read long after it was written."""
        version, status = self.version, self.version["status"]
        became = f"Became live at {in_words(version['live_from'])}" if version["live_from"] else ""
        if status == "live":
            return f"{became}." + (" A person let it pass the gate." if self.failed else "")
        if status is None:
            what = "No version was made: a step before the gate failed"
        elif status == "rejected":
            failed = f"{len(self.failed)} of {len(self.verdicts)} rules failed"
            what = f"Refused by the gate at {in_words(version['judged_at'])}, {failed}"
        elif status == "withdrawn":
            what = f"Withdrawn by a person at {in_words(version['withdrawn_at'])}"
        elif became:
            what = f"{became}, until {in_words(version['live_until'])}"
        else:
            what = f"Passed the gate at {in_words(version['judged_at'])}, and did not become live"
        if not version["live_night"]:
            return f"{what}; nothing was live then."
        since = in_words(version["live_since"])
        return f"{what}; live then was the version of {version['live_night']}, since {since}."


@dataclass(frozen=True)
class Sample:
    """A product's first related products, in this version and in the one before.

    kind: shown most, or what it was drawn from: head, torso, tail or cold; sessions: of the window, None if unknown.
    """

    kind: str
    product_id: str
    title: str
    sessions: int | None
    now: Sequence[Row]
    before: Sequence[Row]

    def is_only_here(self, row: Row) -> bool:
        """Whether a related product of a list is not in the list of the other version."""
        compared_with = self.before if row["is_now"] else self.now
        return row["related_product_id"] not in {listed["related_product_id"] for listed in compared_with}


def in_words(time: datetime) -> str:
    """A time in UTC, to the minute."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def read_report(connection: Connection, night: Night, found: Found) -> Report:
    """The newest version of the night, its verdicts, metrics over the nights, and samples of its lists."""
    (version,) = select(connection, "report_version", night=night.day)
    of_version, over_nights = {"version_id": version["version_id"]}, {"night": night.day, "days": DAYS}
    sampled = of_version | {"previous_version_id": version["previous_version_id"], "products": SAMPLED, "ranks": RANKS}
    sampled |= {"seed": str(night)}
    return Report(
        version,
        select(connection, "report_verdicts", **of_version),
        select(connection, "report_moves", **of_version),
        select(connection, "report_metrics", **over_nights),
        figures_of(select(connection, "metrics_of_night", night=night.day)),
        select(connection, "report_gate_measurements", **over_nights),
        select(connection, "metrics_while_live", **over_nights),
        _samples(select(connection, "report_samples", **sampled)),
        found,
    )


def _samples(rows: Sequence[Row]) -> list[Sample]:
    samples = []
    about = itemgetter("kind", "product_id", "title", "sessions")
    for (kind, product_id, title, sessions), group in groupby(rows, key=about):
        listed = [row for row in group if row["rank"]]
        now = [row for row in listed if row["is_now"]]
        samples.append(Sample(kind, product_id, title, sessions, now, [row for row in listed if not row["is_now"]]))
    return samples


def training_of(storage: Storage, night: Night) -> "list[Epoch]":
    """The epochs as train_model wrote them; none where the model is missing."""
    if not storage.complete(night.artefact("model")):
        return []
    with storage.open(storage.read(night.artefact("model"))) as folder:
        file = Path(folder, "training.json")
        epochs = json.loads(file.read_text()) if file.exists() else []
    return [SimpleNamespace(**epoch) for epoch in epochs]  # type: ignore[misc]


def lists_of(storage: Storage, night: Night) -> "PageFigures | None":
    """What the lists look like as recommend_products wrote it; none where they are missing or of older code."""
    from eclare.evaluation.list_segments import PageFigures

    if not storage.complete(night.artefact("recommendations")):
        return None
    with storage.open(storage.read(night.artefact("recommendations"))) as folder, suppress(ValueError):
        return PageFigures.load(Path(folder))
    return None
