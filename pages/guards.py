"""What keeps other sites out of the page: none may frame it, load into it, or send its forms in an operator's name."""

import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from airflow.configuration import conf
from fastapi import HTTPException, Request
from fastapi.responses import Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'self'"
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FORM_SECONDS = 12 * 3600  # that a form may stay open


async def with_headers(request: Request, answer_to: Callable[[Request], Awaitable[Response]]) -> Response:
    """The same answer, errors too, with HEADERS; what may be kept says so itself."""
    answer = await answer_to(request)
    kept = answer.headers.get("Cache-Control", HEADERS["Cache-Control"])
    answer.headers.update(HEADERS | {"Cache-Control": kept})
    return answer


def shows_token(request: Request, token: str | None) -> bool:
    """Whether the request carries this token, compared in constant time; an empty one is none."""
    seen = request.headers.get("Authorization", "").encode()
    return bool(token) and hmac.compare_digest(seen, f"Bearer {token}".encode())


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
