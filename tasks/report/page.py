"""The page of a night as HTML: its charts and its template."""

import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eclare.model.loss_curve import draw_losses
from tasks.night import Night
from tasks.publish.gate import RULES
from tasks.report.data import in_words
from tasks.report.figures import COMPARED, WHILE_LIVE, while_live_of

if TYPE_CHECKING:
    from tasks.report.data import Report, Row

SYSTEMS = {"eclare": "-", "best rival": "--"}
LISTS = {  # by figure of lists.json: its name, how it is written, what it says
    "most_shown": ("most shown product", ".1%", "of the lists hold it among their first ten"),
    "ten_most_shown": ("ten most shown products", ".1%", "of all first-ten places are theirs"),
    "different": ("different products shown", ",", "stand among the first ten of some list"),
    "shown": ("the same, of those with a session", ".1%", "over 100% where products without a session are shown too"),
    "gini": ("Gini of exposure", ".2f", "0: all products are shown alike, 1: one product has all places"),
    "beyond_best_sellers": ("beyond the best sellers", ".1%", "of the places are not of the best-selling tenth"),
    "title_twice": ("one title twice", ".2%", "of the lists hold it among their first ten"),
    "overlap": ("overlap of two lists", ".1%", "of their first ten do two random lists share on average"),
}
SEGMENTS = ("head", "torso", "tail")
BECAME = {
    "live": "became live",
    "retired": "passed",
    "rejected": "refused",
    "withdrawn": "withdrawn",
    None: "no version",
}
MAX_LABELS = 8  # nights named below a chart
STYLE = Path(__file__).with_name("page.mplstyle")
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # no time and no addresses in the file


def render(report: "Report", night: Night) -> str:
    """The whole page as HTML, with its pictures in it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": _number, "in_words": in_words}
    return environment.get_template("page.html.j2").render(
        report=report, night=night, became=BECAME[report.version["status"]], charts=_charts(report),
        summary=_summary(report), measured_of=_measured_of(report), lists=_lists(report),
        while_live=while_live_of(report.while_live), live_columns=WHILE_LIVE.values(),
    )  # fmt: skip


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _charts(report: "Report") -> list[tuple[str, Markup]]:
    """Title and SVG of the charts that have data."""
    over_all = [row for row in report.metrics if row["segment"] == "all" and row["metric"] in COMPARED]
    by_segment = [row for row in report.metrics if row["segment"] in SEGMENTS and row["metric"] == "recall"]
    charts: list[tuple[str, Sequence[object], Callable[[Axes], None]]] = [
        (
            "Held-out metrics at 10, dashed: the best rival at each", over_all,
            lambda axes: _over_nights(over_all, "metric", "share, of held-out days", axes),
        ),
        (
            "Lists that were live, judged on that day: dots; over 7 days: lines", report.while_live,
            lambda axes: _while_live(report.while_live, axes),
        ),
        ("Recall at 10 by how often the related product is clicked", by_segment, lambda axes: _bars(by_segment, axes)),
        ("Training", report.found.training, lambda axes: draw_losses(report.found.training, axes)),
        (
            "Products with a list (listed), what is shown most, churn", report.gate_measurements,
            lambda axes: _over_nights(report.gate_measurements, "rule", "share or ratio", axes),
        ),
    ]  # fmt: skip
    return [(title, _svg(title, draw)) for title, rows, draw in charts if rows]


def _summary(report: "Report") -> dict[str, str]:
    """The most important numbers, by a short name."""
    judged = {verdict["rule"]: verdict["value"] for verdict in report.verdicts if verdict["value"] is not None}
    summary = {}
    if report.version["version_id"]:
        summary = {"recommendations": f"{report.version['row_count']:,}"}
        summary["products with some"] = f"{report.version['product_count']:,}"
    for line in report.figures.ratios[:1]:
        for metric, figure in zip(report.figures.metrics, line.figures, strict=True):
            if figure:
                summary[f"{metric}@10, times {figure.beside}"] = f"{figure.value:.2f}"
    for rule, name in (("listed", "of the catalogue has a list"), ("churn", "of the first ten are new (churn)")):
        if rule in judged:
            summary[name] = f"{judged[rule]:.1%}"
    last = [row for row in report.while_live if row["day"] == report.while_live[-1]["day"]]
    seen = {row["metric"]: f"{row['value_of_7_days']:.3f}" for row in last}
    return summary | {f"{name}@10 while live, 7 days": seen[name] for name in ("P", "lift") if name in seen}


def _lists(report: "Report") -> list[tuple[str, str, str]]:
    """Name, figure and sentence of what the pages look like; none where the night made no lists."""
    if not report.found.lists:
        return []
    figures = report.found.lists.all._asdict()
    return [(name, format(figures[key], written), says) for key, (name, written, says) in LISTS.items()]


def _measured_of(report: "Report") -> dict[str, str]:
    """What each rule of the verdicts is about; empty for a rule of older code."""
    sentences = {rule.name: rule.sentence for rule in RULES}
    return {verdict["rule"]: sentences.get(verdict["rule"], "") for verdict in report.verdicts}


def _svg(title: str, draw: Callable[[Axes], None]) -> Markup:
    with style.context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=NO_METADATA)
    drawing = text.getvalue()
    described = f'<svg role="img" aria-label="{title}" '
    return Markup(described + drawing[drawing.index("<svg ") + len("<svg ") :])  # noqa: S704 -- matplotlib's own SVG


def _over_nights(rows: "Sequence[Row]", kind: str, unit: str, axes: Axes) -> None:
    """A line for every kind and system; a mark on every night, so that a single night is visible."""
    for i, name in enumerate(sorted({row[kind] for row in rows})):
        label = name  # once for each, whichever system has it: a night of the baseline has none of ours
        for system, line in SYSTEMS.items():
            points = [(row["night"], row["value"]) for row in rows if row[kind] == name and _system(row) == system]
            if points:
                (drawn,) = axes.plot(*zip(*points, strict=True), line, color=f"C{i}", marker=".", label=label)
                drawn.set_linewidth(3.2 - 0.5 * i)  # so that equal lines are both visible
                label = None
    _label_days(sorted({row["night"] for row in rows}), "night", axes)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.legend(loc="best", ncols=3)


def _while_live(rows: "Sequence[Row]", axes: Axes) -> None:
    """A dot for a metric on a day, a line for the seven days up to it."""
    for i, metric in enumerate(COMPARED):
        of_name = [row for row in rows if row["metric"] == metric]
        days = [row["day"] for row in of_name]
        axes.plot(days, [row["value"] for row in of_name], ".", color=f"C{i}", alpha=0.45)
        axes.plot(days, [row["value_of_7_days"] for row in of_name], "-", color=f"C{i}", label=WHILE_LIVE[metric])
    _label_days(sorted({row["day"] for row in rows}), "day of the clicks (UTC)", axes)
    axes.set_ylabel("share, of queries judged that day")
    axes.set_ylim(bottom=0)
    axes.legend(loc="best", ncols=len(COMPARED))


def _label_days(days: list[Any], name: str, axes: Axes) -> None:
    labelled = days[:: math.ceil(len(days) / MAX_LABELS)]
    axes.set_xticks(labelled, [f"{day:%-d %b}" for day in labelled])
    axes.set_xlabel(name)


def _bars(rows: "Sequence[Row]", axes: Axes) -> None:
    """The last night's, both systems side by side."""
    last = max(row["night"] for row in rows)
    for i, system in enumerate(SYSTEMS):
        heights = [_only(row["value"] for row in rows if _is(row, last, system, segment)) for segment in SEGMENTS]
        at = [number + 0.4 * (i - 0.5) for number in range(len(SEGMENTS))]
        bars = axes.bar(at, heights, width=0.38, label=system)
        axes.bar_label(bars, fmt="%.2f", padding=2)
    axes.set_xticks(range(len(SEGMENTS)), SEGMENTS)
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.2)
    axes.legend(loc="best", ncols=2)


def _system(row: "Row") -> str:
    return str(row.get("system", "eclare"))


def _is(row: "Row", night: object, system: str, segment: str) -> bool:
    return (row["night"], row["system"], row["segment"]) == (night, system, segment)


def _only(values: Iterable[float]) -> float:
    return next(iter(values), 0.0)
