"""Who may do what, and what keeps other sites out: none may frame the page, load into it, or send its forms."""

import hmac
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.configuration import conf
from fastapi import Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

may_look = requires_access_dag("GET", DagAccessEntity.RUN, "refresh_recommendations")
MAY_LOOK = Depends(may_look)
CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src {images}; form-action 'self'; frame-ancestors 'self'; "
    "base-uri 'none'"
)
# A report of a night loads nothing; its style is in the file.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'"
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY.format(images="'none'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FORM_SECONDS = 12 * 3600  # that a form may stay open


async def with_headers(request: Request, answer_to: Callable[[Request], Awaitable[Response]]) -> Response:
    """The same answer, errors too, with those of HEADERS that it has not itself."""
    return guarded(await answer_to(request))


def shows_token(request: Request, token: str | None) -> bool:
    """Whether the request carries this token, compared in constant time; an empty one is none."""
    seen = request.headers.get("Authorization", "").encode()
    return bool(token) and hmac.compare_digest(seen, f"Bearer {token}".encode())


def guarded(answer: Response) -> Response:
    """The answer with those of HEADERS that it has not itself."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def policy_with_images(hosts: str) -> dict[str, str]:
    """The header that lets pictures of IMAGE_HOSTS be shown."""
    return {"Content-Security-Policy": CONTENT_POLICY.format(images=hosts or "'none'")}


def is_allowed(request: Request, user: GetUserDep, dag_id: str) -> bool:
    """Whether the user may trigger a DAG, and so do on the page what it does."""
    try:
        requires_access_dag("POST", DagAccessEntity.RUN, dag_id)(request, user)
    except HTTPException:
        return False
    return True


class May:
    """What the user of a request may do, asked once, when a page needs it: `roll_back`, `approve`, `set_rules`."""

    def __init__(self, request: Request, user: GetUserDep) -> None:
        self._request, self._user = request, user

    @cached_property
    def roll_back(self) -> bool:
        """Take versions away from readers."""
        return is_allowed(self._request, self._user, "roll_back")

    @cached_property
    def approve(self) -> bool:
        """Let a version pass."""
        return is_allowed(self._request, self._user, "approve_version")

    @cached_property
    def set_rules(self) -> bool:
        """Pin and block pairs."""
        return is_allowed(self._request, self._user, "refresh_recommendations")


UserMay = Annotated[May, Depends(May)]


def forbid(allowed: bool, dag_id: str) -> None:
    """Raise HTTPException 403 where a user may not trigger the DAG that does the same."""
    if not allowed:
        raise HTTPException(
            403, f"Only who may trigger the DAG {dag_id} may do this: ask whoever gives out roles in Airflow."
        )


def to_log_in(request: Request) -> Response:
    """The way to Airflow's log-in, and from there back to the page that was asked for."""
    root = urlsplit(conf.get("api", "base_url", fallback="/")).path.rstrip("/")
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{root}/api/v2/auth/login?{urlencode({'next': back})}", status_code=303)


def from_this_site(request: Request) -> None:
    """Raise HTTPException 403 where another site sent a form: browsers send its cookie along.

    Browsers say so in Sec-Fetch-Site (W3C Fetch Metadata), older ones in Origin alone.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("Host")
    if elsewhere if site is None else site != "same-origin":
        raise HTTPException(
            403,
            "A form must be sent from this page, but another site sent it: nothing has changed; open the page and send "
            "the form there.",
        )


def form_token(user: str) -> str:
    """What a form shown to a user carries, which no other site can know."""
    return str(_serializer().dumps(user))


def check_form(user: str, token: str) -> None:
    """Raise HTTPException 403 for a form that was shown to nobody, to somebody else or too long ago."""
    try:
        shown_to = _serializer().loads(token, max_age=FORM_SECONDS)
    except BadSignature:
        shown_to = None
    if shown_to != user:
        raise HTTPException(403, "A form must be sent as it was shown to you, within 12 hours: load the page again.")


def _serializer() -> URLSafeTimedSerializer:
    """Signs with Airflow's own secret, which all its api-servers share."""
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt="recommendations")
