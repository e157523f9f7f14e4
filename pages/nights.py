"""Figures over the nights: beside the baseline, while live, as the gate measured them; the report of a night."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from pages import charts
from pages.charts import Point, Threshold, Words
from pages.guards import MAY_LOOK, REPORT_POLICY
from pages.overview import SENTENCES
from pages.queries import http_errors, reading
from pages.rendering import page
from tasks.night import Night
from tasks.report.figures import COMPARED, WHILE_LIVE, figures_of, while_live_of
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

DAYS = 60  # that the charts show
READERS_SAW = Words("What readers saw, over seven days", "share of the queries judged")
GATE_RULES = ("churn", "most_shown", "ten_most_shown", "shown")  # that are drawn
BASELINE_RULES = {"P": "baseline_precision", "nDCG": "baseline_ndcg", "PSP": "baseline_psp"}
Row = dict[str, Any]

router = APIRouter(dependencies=[MAY_LOOK])


@router.get("/nights")
def nights(request: Request, night: date | None = None) -> Response:
    """The figures of a night, the last one where none is asked for, and of the nights before."""
    with reading() as read:
        evaluated = [row["night"] for row in read("evaluated_nights", nights=DAYS)]
        figures = figures_of(read("metrics_of_night", night=night))
        over_baseline = read("page_figures", days=DAYS)
        while_live = read("metrics_while_live", night=None, days=DAYS)
        gate = read("page_gate", rules=[*GATE_RULES, *BASELINE_RULES.values()], days=DAYS)
    thresholds = {row["name"]: row for row in gate}  # those of the last night
    named = [
        Point(WHILE_LIVE[metric], row["day"], row["value_of_7_days"])
        for metric in COMPARED
        for row in while_live
        if row["metric"] == metric
    ]
    saw = (READERS_SAW, charts.over_days(READERS_SAW, tuple(named))) if named else None
    return page(
        request, "nights.html.j2", night=night or next(iter(evaluated), None), evaluated=evaluated, figures=figures,
        charts=_over_baseline(over_baseline, thresholds), live_lines=while_live_of(while_live), while_live=saw,
        live_columns=list(WHILE_LIVE.values()), gate=_gate(gate, thresholds),
    )  # fmt: skip


@router.get("/report")
def report(night: str) -> Response:
    """The report that a night left in the storage, as it is."""
    settings = Settings()
    with http_errors():
        of_night, storage = Night.of(night, settings), Storage(settings.storage_url)
        if not storage.complete(of_night.artefact("report")):
            raise HTTPException(
                404, f"Night {of_night} has left no report in STORAGE_URL: run report_night --night {of_night}."
            )
        with storage.open(storage.read(of_night.artefact("report"))) as folder:
            html = Path(folder, "report.html").read_text(encoding="utf-8")
    return HTMLResponse(html, headers={"Content-Security-Policy": REPORT_POLICY})


def _over_baseline(rows: Sequence[Row], thresholds: dict[str, Row]) -> list[tuple[Words, Markup]]:
    """A chart for each metric, with the line that the gate asks for; nothing where no night was evaluated."""
    drawn = []
    for metric in COMPARED:
        points = tuple(
            Point(row["name"], row["day"], row["value"], row["low"], row["high"])
            for row in rows
            if row["name"] == f"{metric}@10"
        )
        if points:
            words = Words(
                f"{metric}@10 of what readers get over that of co-clicks by the same rules", "times the baseline"
            )
            gate = [_line(thresholds[rule]) for rule in [BASELINE_RULES.get(metric, "")] if rule in thresholds]
            drawn.append((words, charts.over_days(words, points, (Threshold(1, "as good as it"), *gate))))
    return drawn


def _gate(rows: Sequence[Row], thresholds: dict[str, Row]) -> list[tuple[Words, Markup]]:
    """A chart for each of GATE_RULES with the threshold of the last night."""
    drawn = []
    for rule in GATE_RULES:
        points = tuple(Point(rule, row["day"], row["value"]) for row in rows if row["name"] == rule)
        if points:
            words = Words(f"{rule}: {SENTENCES.get(rule, '')}", "share or ratio")
            drawn.append((words, charts.over_days(words, points, (_line(thresholds[rule]),))))
    return drawn


def _line(verdict: Row) -> Threshold:
    return Threshold(verdict["threshold"], f"gate: {verdict['bound']} {verdict['threshold']:.3g}")
