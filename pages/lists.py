"""One product's list as JSON, for a shop's own servers: behind the page's permissions, or a token."""

import json
import zlib
from typing import Annotated

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials

from pages.guards import may_look, shows_token
from pages.queries import rows
from tasks.settings import Settings

KEPT = {"Cache-Control": "private, no-cache"}  # may be kept, and is asked for again with its ETag


async def may_read(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)] = None
) -> None:
    """Raise HTTPException 401 or 403 for who neither shows LISTS_TOKEN nor may look at the page."""
    if not shows_token(request, Settings().lists_token):
        await run_in_threadpool(may_look, request, await get_user(request, None, bearer))


api = FastAPI(title="Lists", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(may_read)])


@api.get("/lists")
def related(
    request: Request,
    product_id: str,
    k: Annotated[int, Query(ge=1, le=1000)] = 10,
    channel: Annotated[str, Query(max_length=40)] = "default",
) -> Response:
    """The k best related products of a product on a channel; 304 where the reader has them already."""
    found = rows("page_list", product_id=product_id, k=k, channel=channel)
    if not found:
        raise HTTPException(404, f"Channel {channel!r} has no related products for {product_id!r}.")
    version = {name: found[0][name] for name in ("version_id", "night")}
    listed = [{name: value for name, value in row.items() if name not in version} for row in found]
    content = json.dumps({"product_id": product_id, "channel": channel} | version | {"related": listed}, default=str)
    etag = f'"{version["version_id"]}-{zlib.crc32(content.encode()):08x}"'  # what is blocked changes without a version
    if etag in _known(request):
        return Response(status_code=304, headers=KEPT | {"ETag": etag})
    return Response(content, media_type="application/json", headers=KEPT | {"ETag": etag})


def _known(request: Request) -> list[str]:
    """The tags of If-None-Match, compared weakly (RFC 9110, 13.1.2)."""
    tags = request.headers.get("If-None-Match", "").split(",")
    return [tag.strip().removeprefix("W/") for tag in tags]
