"""The frontier of a night between what sells together and what is related: our goals and exposure limits, and rivals.

A dial is worth having when each point of it is a good list. Every simple rival is a point, too: where one of ours is
ahead of it on all that COMPARED names, nobody need run the rival.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from benchmarks.judge import Judge
from benchmarks.next_days import GOALS, judge_at
from benchmarks.plots import check_plot, write_plot
from benchmarks.ranking import ranking_at
from eclare.arrays.csr import Rows
from eclare.related.targets import Goal
from tasks.settings import Settings

EXPOSURES = (1, 0.3, 0.1, 0.05, 0.025, 0.01, 0.005)  # MAX_EXPOSURE
COMPARED = {"P": 1, "nDCG": 1, "lift": 1, "shown": 1, "most shown": -1}  # 1: the higher the better, -1: the lower
PANELS = {
    "P": "P@10 (%)",
    "most shown": "lists with the most shown product (%)",
    "shown": "different products shown (% of those with a session)",
}

MARKERS = ("s", "^", "v", "D", "P", "X", "<", ">", "*")  # of the rivals

Figures = Mapping[str, float]


class Point(NamedTuple):
    """One setting of the dial."""

    goal: Goal
    max_exposure: float

    def __str__(self) -> str:
        return f"{self.goal}, at most {100 * self.max_exposure:g}% of pages"


def main(
    log: Annotated[Path, typer.Option(help="Parquet with session_id, product_id, event_time, title")],
    cut: Annotated[str, typer.Option(help="First day that is not read, YYYY-MM-DD")],
    plot: Annotated[Path, typer.Option(help="picture to write, .png or .svg")],
) -> None:
    """Ends with one line of JSON: figures in percent of every point and rival, and which point is ahead of each rival.

    In memory, as benchmarks.ranking; each goal is trained once. "shown of current" is the share of the products with an
    event in the 30 days before the cut that the judged lists show; other figures are those of benchmarks.next_days.
    """
    check_plot(plot)
    rows = pd.read_parquet(log, columns=["session_id", "product_id", "event_time", "title"])
    middle, judge = judge_at(rows, cut)
    ours: dict[Point, Figures] = {}
    for goal in GOALS:
        settings = Settings(_env_file=None, goal=goal)
        ranking = ranking_at(rows, middle, settings)
        for max_exposure in EXPOSURES:
            lists = ranking.lists(max_variants=settings.max_variants, max_exposure=max_exposure)
            ours[Point(goal, max_exposure)] = figures_of(lists[judge.queries], judge)
    rivals = {name: figures_of(lists_QK, judge) for name, lists_QK in judge.rivals().items()}
    write_plot(drawn(ours, rivals, f"{log.parent.name}, cut {cut}"), plot)
    line = {"cut": cut, "queries": len(judge.queries), "products": judge.products()}
    line |= {"ours": {str(point): figures for point, figures in ours.items()}, "rivals": rivals}
    print(json.dumps(line | {"nearest": {name: nearest(ours, figures) for name, figures in rivals.items()}}))


def figures_of(lists_QK: Rows, judge: Judge) -> Figures:
    """In percent: P, nDCG, PSP, lift, most shown, shown, shown of current."""
    found = {name: metric.value for name, metric in judge.metrics(lists_QK).items()}
    found |= {"shown": judge.shown(lists_QK).value, "shown of current": judge.shown_current(lists_QK)}
    return {name: round(100 * value, 2) for name, value in found.items()}


def nearest(ours: Mapping[Point, Figures], rival: Figures) -> dict[str, object]:
    """The point that is not behind a rival on most of COMPARED, by lift where several are, and what it is behind on."""
    behind = {
        point: [name for name, sign in COMPARED.items() if sign * figures[name] < sign * rival[name]]
        for point, figures in ours.items()
    }
    best = min(behind, key=lambda point: (len(behind[point]), -ours[point]["lift"]))
    return {"point": str(best), "behind on": behind[best]}


def drawn(ours: Mapping[Point, Figures], rivals: Mapping[str, Figures], title: str) -> Figure:
    """lift@10 against each of PANELS; popularity, far below all others, is left out."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    figure.suptitle(f"{title}: MAX_EXPOSURE from {EXPOSURES[0]} to {EXPOSURES[-1]} along each line")
    axes = np.atleast_1d(figure.subplots(1, len(PANELS), sharey=True))
    for panel, (metric, label) in zip(axes, PANELS.items(), strict=True):
        _draw(panel, metric, ours, {name: each for name, each in rivals.items() if name != "popularity"})
        panel.set_xlabel(label)
        panel.grid(alpha=0.3)
    most_shown = axes[list(PANELS).index("most shown")]
    most_shown.set_xscale("log")
    most_shown.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    most_shown.xaxis.set_minor_locator(NullLocator())
    most_shown.xaxis.set_major_formatter(ScalarFormatter())
    axes[0].set_ylabel("lift@10 (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
    return figure


def _draw(panel: Axes, metric: str, ours: Mapping[Point, Figures], rivals: Mapping[str, Figures]) -> None:
    for goal, colour in zip(GOALS, ("tab:blue", "tab:orange"), strict=True):
        of_goal = [figures for point, figures in ours.items() if point.goal == goal]
        x, y = ([figures[name] for figures in of_goal] for name in (metric, "lift"))
        panel.plot(x, y, marker="o", color=colour, label=f"ours, GOAL={goal}")
    for marker, (name, figures) in zip(MARKERS, rivals.items(), strict=False):
        panel.plot(figures[metric], figures["lift"], linestyle="", marker=marker, color="0.35", label=name)


if __name__ == "__main__":
    typer.run(main)
