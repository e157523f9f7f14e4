"""Charts as SVG in the page: drawn by matplotlib once for the same figures, in the colours of the page's stylesheet."""

import io
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup, escape

if TYPE_CHECKING:  # it takes a second to load, which no process of Airflow's should spend at its start
    from matplotlib.axes import Axes

# Colours are names until the stylesheet says what they are by day and by night: Okabe and Ito's, for every eye.
INK, GRID, PAPER = "#010101", "#020202", "#030303"
SERIES = ("#110000", "#120000", "#130000", "#140000")
NAMES = {INK: "ink", GRID: "grid", PAPER: "paper"} | {colour: f"series-{i}" for i, colour in enumerate(SERIES)}
MARKERS, DASHES = "osD^", ("-", "--", "-.", ":")  # so that no line is known by its colour alone
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "page", "font.size": 11, "font.family": "sans-serif",
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": GRID,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y",
    "grid.color": GRID, "grid.linewidth": 0.8, "legend.frameon": False, "legend.fontsize": 10, "lines.markersize": 5,
    "axes.axisbelow": True, "xtick.bottom": False, "ytick.left": False,
}  # fmt: skip
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
MOST_LABELS = 6  # days named below a chart
drawing = Lock()  # matplotlib's settings are of the whole process


class Point(NamedTuple):
    """A figure of a day or of a system, with its 95% interval where it has one."""

    name: str
    at: Any
    value: float
    low: float | None = None
    high: float | None = None


class Threshold(NamedTuple):
    """A line that figures must not cross, and what it says."""

    value: float
    says: str


class Words(NamedTuple):
    """What a chart shows, for eyes and for screen readers, and what its upright axis counts."""

    title: str
    unit: str


@lru_cache(maxsize=128)
def over_days(words: Words, points: tuple[Point, ...], thresholds: tuple[Threshold, ...] = ()) -> Markup:
    """A line and marks for every name over days; a day without a figure breaks it."""

    def draw(axes: "Axes") -> None:
        days = sorted({point.at for point in points})
        every_day = [days[0] + timedelta(days=age) for age in range((days[-1] - days[0]).days + 1)]
        for i, (name, of_name) in enumerate(_by_name(points)):
            by_day = {point.at: point for point in of_name}
            values = [by_day[day].value if day in by_day else float("nan") for day in every_day]
            label, marker, colour = name if _is_one_of_many(points) else None, MARKERS[i % 4], SERIES[i % 4]
            axes.plot(every_day, values, DASHES[i % 4], marker=marker, color=colour, label=label)
            _draw_intervals(axes, [point.at for point in of_name], of_name, colour)
        _label_days(axes, every_day)

    return _svg(words, points, thresholds, draw)


@lru_cache(maxsize=128)
def beside_rivals(words: Words, points: tuple[Point, ...]) -> Markup:
    """A mark and its interval for every system at each metric; `name` is the system, `at` the metric."""

    def draw(axes: "Axes") -> None:
        metrics, systems = list(dict.fromkeys(p.at for p in points)), _by_name(points)
        for i, (name, of_name) in enumerate(systems):
            across = [metrics.index(point.at) + 0.8 * ((i + 0.5) / len(systems) - 0.5) for point in of_name]
            colour = SERIES[i] if i < len(SERIES) else INK
            axes.plot(across, [p.value for p in of_name], "osD^vXP*"[i % 8], color=colour, label=name)
            _draw_intervals(axes, across, of_name, colour)
        axes.set_xticks(range(len(metrics)), metrics)

    return _svg(words, points, (), draw)


@lru_cache(maxsize=128)
def exposure(words: Words, points: tuple[Point, ...]) -> Markup:
    """What share of the places the products shown most hold; `at` is how many products, on a scale of tens."""

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import FuncFormatter, PercentFormatter

        for i, (name, of_name) in enumerate(_by_name(points)):
            xs, ys = [p.at for p in of_name], [p.value for p in of_name]
            axes.plot(xs, ys, DASHES[i % 4], marker=MARKERS[i % 4], color=SERIES[i % 4], label=name)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.set_xlabel("products, those shown most first")
        axes.set_ylim(top=1.03)

    return _svg(words, points, (), draw)


def _svg(
    words: Words, points: Sequence[Point], thresholds: Sequence[Threshold], draw: Callable[["Axes"], None]
) -> Markup:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with drawing, rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(5.6, 3.2), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        for line in thresholds:
            axes.axhline(line.value, color=INK, linewidth=1.4, linestyle=(0, (2, 2)))
            axes.annotate(
                line.says, (1, line.value), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="right", fontsize=9, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
            )  # fmt: skip
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
        axes.spines["bottom"].set(position=("data", 0), color=INK, linewidth=1.2, zorder=1)  # the line of zero
        axes.set_ylabel(words.unit)
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside lower center", ncols=3, handletextpad=0.4, columnspacing=1.2)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=NO_METADATA)
    return _in_the_page(text.getvalue(), words, points)


def _in_the_page(svg: str, words: Words, points: Sequence[Point]) -> Markup:
    """The drawing with named colours, without a style of its own, which the policy forbids, and with words to hear."""
    drawn = svg[svg.index("<svg ") :]
    drawn = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", drawn, flags=re.S)
    drawn = re.sub(r'<g id="[^"]*">', "<g>", drawn)  # the same in every drawing
    drawn = re.sub(r' style="([^"]*)"', lambda found: _as_attributes(found[1]), drawn)
    for colour, name in NAMES.items():
        drawn = drawn.replace(colour, f"var(--{name})")
    size = re.search(r'viewBox="[^"]*"', drawn)
    assert size is not None  # noqa: S101 (matplotlib writes one)
    spoken = "; ".join(f"{name} {of_name[-1].value:.3g} ({of_name[-1].at})" for name, of_name in _by_name(points))
    said = f"<title>{escape(words.title)}</title><desc>{escape(words.unit)}: {escape(spoken)}</desc>"
    return Markup(f'<svg {size[0]} role="img">{said}' + drawn[drawn.index(">") + 1 :])  # noqa: S704 (matplotlib's own, and escaped words)


def _as_attributes(style: str) -> str:
    """Properties of a style attribute as attributes of SVG, which the policy lets pass; text has the page's font."""
    pairs = [part.split(":", 1) for part in style.split(";") if ":" in part]
    kept = []
    for name, value in ((name.strip(), value.strip()) for name, value in pairs):
        if name == "font":
            kept.append(f' font-size="{re.search(r"[0-9.]+px", value)[0]}"')  # type: ignore[index]
        elif name not in ("font-family", "transform-origin", "white-space"):
            kept.append(f' {name}="{value}"')
    return "".join(kept)


def _by_name(points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    order = list(dict.fromkeys(point.name for point in points))
    in_order = sorted(points, key=lambda point: order.index(point.name))
    return [(name, list(of_name)) for name, of_name in groupby(in_order, key=itemgetter(0))]


def _is_one_of_many(points: Sequence[Point]) -> bool:
    return len({point.name for point in points}) > 1


def _draw_intervals(axes: "Axes", across: Sequence[Any], points: Sequence[Point], colour: str) -> None:
    """A line from end to end for each point that has an interval."""
    found = [
        (x, p.low, p.high) for x, p in zip(across, points, strict=True) if p.low is not None and p.high is not None
    ]
    for x, low, high in found:
        axes.vlines(x, low, high, color=colour, alpha=0.6)


def _label_days(axes: "Axes", days: Sequence[date]) -> None:
    named = days[:: -(-len(days) // MOST_LABELS)]
    axes.margins(x=0.04)
    axes.set_xticks(named, [f"{day:%-d %b}" for day in named])  # type: ignore[arg-type]
