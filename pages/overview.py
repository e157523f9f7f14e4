"""The first page: what is live, how old and how good it is, what was ingested, who moved what last."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from pages import charts
from pages.charts import Point, Words
from pages.guards import MAY_LOOK, UserMay
from pages.moves import links
from pages.queries import reading
from pages.rendering import page
from tasks.publish.gate import RULES
from tasks.report.figures import COMPARED, Figures, figures_of
from tasks.stores.database import LIVE

DAYS_INGESTED, MOVES = 7, 5  # that the page shows
SENTENCES = {rule.name: rule.sentence for rule in RULES}
BESIDE_RIVALS = Words("Held-out figures at 10 beside each rival, with 95% intervals", "share (0 to 1)")
EXPOSURE = Words("How the first ten places of all lists are shared out", "share of these places")

router = APIRouter(dependencies=[MAY_LOOK])


@router.get("/")
def overview(request: Request, may: UserMay) -> Response:
    """The live version and its figures, and the way back."""
    with reading() as read:
        (live,) = read("page_live")
        version_id = live["version_id"]
        figures = figures_of(read("metrics_of_night", night=live["night"]) if version_id else [])
        exposure = read("page_exposure", version_id=version_id, beside=live["version_before"])
        verdicts = read("report_verdicts", version_id=version_id)
        moves, ingested = read("page_moves", moves=MOVES), read("page_ingested", days=DAYS_INGESTED)
    return page(
        request, "overview.html.j2", live=live, figures=figures, verdicts=verdicts, moves=moves, ingested=ingested,
        links=links(live, may), charts=_charts(figures, exposure), shown=_shown(exposure, version_id),
        sentences=SENTENCES,
        passed=sum(verdict["passed"] for verdict in verdicts),
        broken=[verdict for verdict in verdicts if not verdict["passed"]],
    )  # fmt: skip


def _shown(exposure: Sequence[dict[str, Any]], version_id: int | None) -> int | None:
    """How many products are ever shown: the last point of the curve is of all."""
    return max((row["products"] for row in exposure if row["version_id"] == version_id), default=None)


def _charts(figures: Figures, exposure: Sequence[dict[str, Any]]) -> list[tuple[Words, Markup]]:
    of_systems = tuple(
        Point(line.name, metric, each.value, each.low, each.high)
        for line in figures.systems
        for metric, each in zip(figures.metrics, line.figures, strict=True)
        if each and metric in COMPARED and line.name != LIVE and " without " not in line.name
    )
    curves = tuple(
        Point(f"version {row['version_id']} ({row['night']})", row["products"], row["share_of_places"])
        for row in exposure
    )
    drawn = []
    if of_systems:
        drawn.append((BESIDE_RIVALS, charts.beside_rivals(BESIDE_RIVALS, of_systems)))
    if curves:
        drawn.append((EXPOSURE, charts.exposure(EXPOSURE, curves)))
    return drawn
