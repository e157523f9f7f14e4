"""Lines of a small chart, as SVG points."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT = 600, 160


class Line(NamedTuple):
    """A line's name, its last value and its points as SVG writes them."""

    name: str
    last: float
    points: str


def polylines(figures: Sequence[Mapping[str, Any]]) -> list[Line]:
    """One line for every name, from 0 to the largest value: rows of night, name and value, oldest first."""
    nights = sorted({row["night"] for row in figures})
    highest = max((row["value"] for row in figures), default=0) or 1
    across = {night: WIDTH * i / max(1, len(nights) - 1) for i, night in enumerate(nights)}
    lines = []
    for name in dict.fromkeys(row["name"] for row in figures):
        values = [(across[row["night"]], row["value"]) for row in figures if row["name"] == name]
        points = " ".join(f"{x:.1f},{HEIGHT * (1 - value / highest):.1f}" for x, value in values)
        lines.append(Line(name, values[-1][1], points))
    return lines
