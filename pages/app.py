"""The page for operators: search a product, see why, look at nights, compare two, roll back; metrics for Prometheus.

Who may read the DAG refresh_recommendations may look; who may trigger roll_back may roll back; metrics take a token.
Lists as JSON are in pages/lists.py.
"""

from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, Form, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException as AnyHTTPException

from pages.chart import chart_of
from pages.guards import check_form, form_token, from_this_site, shows_token, with_headers
from pages.lists import api
from pages.prometheus import prometheus_metrics
from pages.queries import http_errors, rows
from tasks.publish.rollback import rollback
from tasks.report.figures import COMPARED, WHILE_LIVE, figures_of, while_live_of
from tasks.settings import Settings

MAY_LOOK = Depends(requires_access_dag("GET", DagAccessEntity.RUN, "refresh_recommendations"))
MAY_GO_BACK = requires_access_dag("POST", DagAccessEntity.RUN, "roll_back")
FormText = Annotated[str, Form(pattern=r"^[^\x00]*$")]
SHOWN, CHANGED = 20, 100  # related products of a product; changed places of two versions
DAYS = 60  # that the charts show

app = FastAPI(title="Recommendations", docs_url=None, redoc_url=None, openapi_url=None)
app.middleware("http")(with_headers)
app.mount("/api", api)
templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


@app.get("/", dependencies=[MAY_LOOK])
def search(request: Request, words: str = "") -> Response:
    """Products by words of their title, or by their id."""
    found = rows("page_search", words=words) if words.strip() else []
    return _page(request, "search.html.j2", words=words, found=found)


@app.get("/product", dependencies=[MAY_LOOK])
def product(request: Request, product_id: str) -> Response:
    """The related products of one product, with the reasons for each."""
    related = rows("page_product", product_id=product_id, k=SHOWN)
    if not related:
        raise HTTPException(404, f"The live version has no related products for {product_id!r}.")
    return _page(request, "product.html.j2", related=related)


@app.get("/nights", dependencies=[MAY_LOOK])
def nights(request: Request, user: GetUserDep) -> Response:
    """Versions, their figures over the nights, and what readers saw, judged on the days that they saw it."""
    last, while_live = rows("metrics_of_night", night=None), rows("metrics_while_live", night=None, days=DAYS)
    named = [
        {"day": row["day"], "name": WHILE_LIVE[row["metric"]], "value": row["value_of_7_days"]}
        for row in while_live
        if row["metric"] in COMPARED
    ]
    return _page(
        request, "nights.html.j2", versions=rows("page_versions"), ratios=chart_of(rows("page_figures", days=DAYS)),
        while_live=chart_of(named), live_lines=while_live_of(while_live), live_columns=WHILE_LIVE.values(),
        figures=figures_of(last), evaluated=last[0]["night"] if last else None, token=form_token(user.get_name()),
    )  # fmt: skip


@app.get("/version", dependencies=[MAY_LOOK])
def version(request: Request, version_id: int) -> Response:
    """The verdicts of the gate on a version."""
    verdicts = rows("report_verdicts", version_id=version_id)
    if not verdicts:
        raise HTTPException(404, f"No version {version_id} was judged.")
    return _page(request, "version.html.j2", version_id=version_id, verdicts=verdicts)


@app.get("/changes", dependencies=[MAY_LOOK])
def changes(request: Request, before: int, after: int) -> Response:
    """The first places whose related product differs between two versions."""
    changed = rows("page_changes", before=before, after=after, places=CHANGED)
    return _page(request, "changes.html.j2", before=before, after=after, changed=changed)


@app.post("/roll_back", dependencies=[Depends(MAY_GO_BACK), Depends(from_this_site)])
def roll_back(
    user: GetUserDep, version: Annotated[int, Form()], reason: FormText, token: FormText = "", to: FormText = ""
) -> Response:
    """Withdraw the version that the page showed as live, in the name of who asked."""
    check_form(user.get_name(), token)
    with http_errors():
        rollback(Settings(), version, reason, user.get_name(), to)
    return RedirectResponse("nights", status_code=303)


@app.get("/metrics")
def metrics(request: Request) -> Response:
    """The age of the live version and other metrics in Prometheus' text format."""
    token = Settings().metrics_token
    if not token:  # an empty one would match an empty header
        raise HTTPException(404, "Set METRICS_TOKEN to let Prometheus read metrics here.")
    if not shows_token(request, token):
        raise HTTPException(401, "The header must read: Authorization: Bearer METRICS_TOKEN")
    return PlainTextResponse(prometheus_metrics(), media_type="text/plain; version=0.0.4")


@app.exception_handler(RequestValidationError)
def misread(request: Request, error: RequestValidationError) -> Response:
    """A value that is missing or of another kind, as a page that names it."""
    seen = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors())
    return refused(
        request,
        HTTPException(422, f"The address or form must be complete, got {seen}: correct it, or load the page again."),
    )


@app.exception_handler(AnyHTTPException)
def refused(request: Request, error: AnyHTTPException) -> Response:
    """An error as a page that says what to do."""
    page = _page(request, "error.html.j2", message=error.detail)
    page.status_code = error.status_code
    return page


def _page(request: Request, template: str, **values: Any) -> Response:
    prefix = request.scope.get("root_path", "")
    return HTMLResponse(templates.get_template(template).render(prefix=prefix, **values))
