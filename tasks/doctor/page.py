"""A report as a page of HTML that needs nothing beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.doctor.findings import LEVELS
from tasks.doctor.report import Report

MOST_BARS = 120  # more days become weeks, or longer


class Bar(NamedTuple):
    """A bar of a chart: its label, its value, its place and size in the chart's units."""

    label: str
    value: int
    x: float
    width: float
    height: float


def render(report: Report) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    charts = {
        "Clicks by day, UTC": bars(_at_most(list(report.by_day.items()))),
        "Clicks by hour of the day, UTC": bars([(f"{hour:02d}", count) for hour, count in enumerate(report.by_hour)]),
    }
    levels = {level: [finding for finding in report.findings if finding.level == level] for level in LEVELS}
    return environment.get_template("page.html.j2").render(
        report=report, levels=levels, charts={title: drawn for title, drawn in charts.items() if len(drawn) > 1}
    )


def bars(values: Sequence[tuple[str, int]]) -> list[Bar]:
    """Bars side by side in a chart of 600 by 120 units."""
    most, width = max((value for _, value in values), default=0), 600 / max(len(values), 1)
    return [
        Bar(label, value, n * width, max(width - 1, width * 0.7), 120 * value / most if most else 0)
        for n, (label, value) in enumerate(values)
    ]


def _at_most(values: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Several days together, named by the first, where there are many."""
    size = -(-len(values) // MOST_BARS) if values else 1
    groups = [values[n : n + size] for n in range(0, len(values), size)]
    return [(group[0][0], sum(value for _, value in group)) for group in groups]
