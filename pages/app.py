"""The page for operators and merchandisers: what is live, a product's list, nights, versions, pairs; for Prometheus.

Who may read the DAG refresh_recommendations may look. Who may trigger roll_back, approve_version or
refresh_recommendations may take a version away, let one pass, or pin and block pairs. Metrics take a token, lists as
JSON (pages/lists.py) a token or a look.
"""

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from pages import merchandising, nights, overview, products, versions
from pages.guards import guarded, shows_token, to_log_in, with_headers
from pages.lists import api
from pages.prometheus import prometheus_metrics
from pages.rendering import FOR_GOOD, STYLE, STYLE_NAME, page
from tasks.settings import Settings

app = FastAPI(title="Recommendations", docs_url=None, redoc_url=None, openapi_url=None)
app.middleware("http")(with_headers)
app.mount("/api", api)
for part in (overview, products, nights, versions, merchandising):
    app.include_router(part.router)


@app.get(f"/{STYLE_NAME}")
def style() -> Response:
    """The one stylesheet; it says nothing about the shop, so that the way to the log-in has it, too."""
    return Response(STYLE, media_type="text/css", headers=FOR_GOOD)


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
    """An error as a page that says what to do; who is not logged in is led to the log-in, and back."""
    is_read = request.method == "GET" and "text/html" in request.headers.get("Accept", "")  # by a person, not a program
    if error.status_code == 401 and is_read:
        return to_log_in(request)
    said = SAYS.get(error.status_code, str(error.detail)) if error.detail in UNSAID else str(error.detail)
    return page(request, "error.html.j2", status=error.status_code, message=said)


@app.exception_handler(Exception)
def failed(request: Request, error: Exception) -> Response:
    """A fault of ours: the traceback goes to the api-server's log, where Starlette sends it."""
    return guarded(page(request, "error.html.j2", status=500, message=f"{SAYS[500]} ({type(error).__name__})"))


UNSAID = ("Not Found", "Method Not Allowed", "Forbidden", "Not authenticated", "Invalid JWT token", "Token Expired")
SAYS = {
    401: "You must be logged in to Airflow: log in and send the form again.",
    403: "Your role in Airflow does not allow this: ask whoever gives out roles.",
    404: "There is no page at this address: begin at the overview.",
    405: "This address takes no such request: begin at the overview.",
    500: "The page has failed: its log, that of Airflow's api-server, says why. Nothing that is live has changed.",
}
