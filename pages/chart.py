"""Lines of a small chart, as SVG points, and where its axes are labelled."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT = 600, 160
STEPS = (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10)  # between two labels of the upright axis
MOST_STEPS = 4


class Line(NamedTuple):
    """A line's name, its last value and its points as SVG writes them."""

    name: str
    last: float
    points: str


class Chart(NamedTuple):
    """Lines, labels of the upright axis with their height from the top, and the first and the last day."""

    lines: Sequence[Line]
    ticks: Sequence[tuple[str, float]]
    first: Any
    last: Any


def chart_of(figures: Sequence[Mapping[str, Any]]) -> Chart | None:
    """One line for every name, from 0 up: rows of day, name and value, oldest first; None where there is no row."""
    if not figures:
        return None
    first, last = (end(row["day"] for row in figures) for end in (min, max))
    step = _step(max(row["value"] for row in figures))
    steps = max(1, -int(-max(row["value"] for row in figures) // step))
    ticks = [(f"{step * number:g}", HEIGHT * (1 - number / steps)) for number in range(steps + 1)]
    lines = []
    for name in dict.fromkeys(row["name"] for row in figures):
        values = [(_across(row["day"], first, last), row["value"]) for row in figures if row["name"] == name]
        points = " ".join(f"{x:.1f},{HEIGHT * (1 - value / (step * steps)):.1f}" for x, value in values)
        lines.append(Line(name, values[-1][1], points))
    return Chart(lines, ticks, first, last)


def _across(day: Any, first: Any, last: Any) -> float:
    """Days that are missing leave a gap."""
    return float(WIDTH * ((day - first) / (last - first))) if last != first else 0.0


def _step(highest: float) -> float:
    """The smallest step that reaches the highest value with few labels."""
    return next((step for step in STEPS if step * MOST_STEPS >= highest), highest / MOST_STEPS)
