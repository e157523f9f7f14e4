"""Figures as tables for people: of a night, systems as rows; of what readers saw, days as rows; metrics as columns."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tasks.stores.database import BASELINE, LIVE, OURS, by_rules

ASKED = {  # by metric: what it asks, in the order of the columns
    "P": "how many of the first ten shared a session with the product in the held-out days",
    "nDCG": "the same, and do they stand first",
    "PSP": "the same, where products that are seldom clicked count more",
    "lift": "are the first ten what met more often than chance would have it: related, not just sold a lot",
    "recall": "how much of all that shared a session is among the first ten",
    "coverage": "which share of the catalogue is ever shown, in any first ten of the judged products",
}
COMPARED = ("P", "nDCG", "PSP", "lift")  # with the best rival
SYSTEMS = {  # by system: what it is, in the order of the rows; others follow
    OURS: "the night's ranking, before the shop's rules of a list",
    by_rules(OURS): "what readers get: the lists that these rules make of it",
    by_rules(BASELINE): "the lists that the same rules make of co-clicks",
    "co-click": "what shared most sessions with the product",
    "observed - expected": "what shared more sessions with it than expected, as Amazon did",
    "cosine": "what shares most of its own sessions with it",
    "popularity": "the ten best sellers, the same for everybody",
    LIVE: "the version that was live, by the lists it was evaluated by: they know fewer days; over the queries of both",
    f"{OURS} without model": "the same ranker, which neither sees the model's score nor its candidates",
    f"{OURS} without popularity": "the same, without popularity",
}
WITHOUT_MODEL = f"{OURS} without model"
NO_RIVAL = re.compile(f" / |{by_rules('')}$")  # ratios, and what rules make of a ranking
BESIDE = {  # two systems whose ratio has a row: its name, what it says
    (OURS, WITHOUT_MODEL): ("eclare / without model", "what the model brings: 1 is nothing"),
    (by_rules(OURS), by_rules(BASELINE)): (
        "by rules / co-click",
        "what readers get, beside co-clicks by the same rules",
    ),
    (by_rules(OURS), LIVE): ("by rules / live", "below 1, less than from what was live, on the same days and queries"),
    (by_rules(OURS), OURS): ("by rules / eclare", "what the shop's rules of a list cost: 1 is nothing"),
}
WHILE_LIVE = {  # by metric of what readers saw: the name of its column
    "P": "P@10", "nDCG": "nDCG@10", "PSP": "PSP@10", "lift": "lift@10", "listed": "with a list",
}  # fmt: skip
LIVE_DAYS = 7  # that the table of what readers saw has

Row = Mapping[str, Any]


class Figure(NamedTuple):
    """A cell: a value, the ends of its 95% interval (None: it has none) and what it was compared with, if anything."""

    value: float
    low: float | None
    high: float | None
    beside: str = ""

    @property
    def verdict(self) -> str:
        """Of a ratio: better or worse where its whole interval lies on one side of 1, otherwise nothing."""
        if self.low is None or self.high is None or self.low <= 1 <= self.high:
            return ""
        return "better" if self.low > 1 else "worse"


class Line(NamedTuple):
    """A row: its name, what it is, and a figure or nothing for every column."""

    name: str
    is_what: str
    figures: Sequence[Figure | None]


class Figures(NamedTuple):
    """The table: metrics, the systems' figures, the ratios of ours to others and the best rival at each metric."""

    metrics: Sequence[str]
    systems: Sequence[Line]
    ratios: Sequence[Line]
    best_rivals: Mapping[str, str]

    @property
    def asked(self) -> dict[str, str]:
        """What each metric asks."""
        return {metric: ASKED[metric] for metric in self.metrics}


class LiveLine(NamedTuple):
    """A row of what readers saw: the day or days, the night of the version, judged queries, a figure a column."""

    day: str
    night: str
    queries: int
    figures: Sequence[Figure | None]


def while_live_of(rows: Sequence[Row]) -> list[LiveLine]:
    """What readers saw, the newest day first, after the figures over its seven days: rows of metrics_while_live.

    The columns are those of WHILE_LIVE; nothing where no day was judged.
    """
    days = sorted({row["day"] for row in rows}, reverse=True)[:LIVE_DAYS]
    by_key = {(row["day"], row["metric"]): row for row in rows}
    lines: list[LiveLine] = []
    for day in days:
        of_day = [by_key.get((day, metric)) for metric in WHILE_LIVE]
        first = next(row for row in of_day if row)
        figures = [Figure(row["value"], row["low"], row["high"]) if row else None for row in of_day]
        if not lines:
            pooled = [Figure(row["value_of_7_days"], None, None) if row else None for row in of_day]
            lines.append(LiveLine(f"7 days up to {day}", "each day's", int(first["queries_of_7_days"]), pooled))
        lines.append(LiveLine(str(day), str(first["night"]), first["queries"], figures))
    return lines


def figures_of(rows: Sequence[Row]) -> Figures:
    """The table of one night at one cut: rows of system, segment, metric, value, low and high."""
    rows = [row for row in rows if row["segment"] == "all"]
    known = {row["metric"] for row in rows}
    metrics = [metric for metric in ASKED if metric in known]
    by_key = {(row["system"], row["metric"]): Figure(row["value"], row["low"], row["high"]) for row in rows}
    judged = [system for system, _ in by_key if " / " not in system]
    systems = [system for system in (*SYSTEMS, *judged) if system in judged]
    lines = [
        Line(system, SYSTEMS.get(system, ""), [by_key.get((system, metric)) for metric in metrics])
        for system in dict.fromkeys(systems)
    ]
    best = best_rivals(rows)
    over_best = [_ratio(rows, OURS, best.get(metric), metric) for metric in metrics]
    ratios = [Line("eclare / best rival", "above 1, ours is better than whichever rival is best at it", over_best)]
    ratios += [
        Line(name, says, [_ratio(rows, one, other, metric) for metric in metrics])
        for (one, other), (name, says) in BESIDE.items()
    ]
    return Figures(metrics, lines, [line for line in ratios if any(line.figures)], best)


def best_rivals(rows: Sequence[Row]) -> dict[str, str]:
    """By metric of COMPARED, the rival with the largest figure; ties go to the first by name."""
    rivals: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        is_rival = row["system"] != LIVE and not row["system"].startswith(OURS) and not NO_RIVAL.search(row["system"])
        if row["metric"] in COMPARED and is_rival:
            rivals.setdefault(row["metric"], []).append((-row["value"], row["system"]))
    return {metric: min(rivals[metric])[1] for metric in COMPARED if metric in rivals}


def over(rows: Sequence[Row], other: str, metric: str, one: str = OURS) -> Row | None:
    """The ratio of ours, or of another one, to a system; None where it was not computed."""
    return next((row for row in rows if (row["system"], row["metric"]) == (f"{one} / {other}", metric)), None)


def _ratio(rows: Sequence[Row], one: str, other: str | None, metric: str) -> Figure | None:
    """With the name of what it was compared with, where the row does not say it."""
    ratio = over(rows, other, metric, one) if other else None
    beside = "" if (one, other) in BESIDE else str(other)
    return Figure(ratio["value"], ratio["low"], ratio["high"], beside) if ratio else None
