"""Versions: what they are, what they change, and the forms that approve one, roll back or withdraw one."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from pages.guards import MAY_LOOK, May, UserMay, check_form, forbid, form_token, from_this_site
from pages.moves import MOVE, Action, links
from pages.names import tell_apart
from pages.overview import SENTENCES
from pages.queries import Reader, http_errors, reading
from pages.rendering import FormText, page
from tasks.night import Night
from tasks.publish.rollback import approve, rollback, withdraw
from tasks.settings import Settings

Row = dict[str, Any]
MOVES, PAGES, CHANGED, PREVIEWED, HIDDEN = 40, 300, 100, 8, 50

router = APIRouter(dependencies=[MAY_LOOK])


class _Asked(NamedTuple):
    """What a form asks for: an action on a version, for a rollback back to a night, with a reason."""

    action: Action
    version_id: int
    to: str = ""
    reason: str = ""


@router.get("/versions")
def versions(request: Request, user: GetUserDep, may: UserMay, done: bool = False) -> Response:
    """All versions of the last nights, what may be done with them, and who moved the pointer.

    done: whoever looks comes from a form, so the last move is said, if it is theirs.
    """
    with reading() as read:
        found, moves = read("page_versions"), read("page_moves", moves=MOVES)
        own = next((move for move in moves[:1] if done and move["actor"] == user.get_name()), None)
        moved, before = (_summary(read, own[name]) if own else None for name in ("version_id", "previous_version_id"))
    for each in found:
        each["links"] = links(each, may)
    return page(request, "versions.html.j2", versions=found, moves=moves, own=own, moved=moved, before=before)


@router.get("/version")
def version(request: Request, may: UserMay, version_id: int) -> Response:
    """A version, what the gate said of it, a look at its lists, and what may be done with it."""
    with reading() as read:
        found = _version(read, version_id)
        verdicts = read("report_verdicts", version_id=version_id)
        moves = read("page_moves_of", version_id=version_id, moves=MOVES)
        most_visited = read("page_most_visited", version_id=version_id, pages=PREVIEWED) if found["has_rows"] else []
    tell_apart(most_visited)
    return page(
        request, "version.html.j2", version=found, verdicts=verdicts, moves=moves, most_visited=most_visited,
        sentences=SENTENCES, links=links(found, may),
    )  # fmt: skip


@router.get("/changes")
def changes(request: Request, before: int, after: int) -> Response:
    """The pages looked at most whose first ten differ between two versions."""
    with reading() as read:
        found = read("page_changes", before=before, after=after, pages=PAGES)
        changed = [row for row in found if row["new"] or row["gone"]][:CHANGED]
        _name(read, changed, before, after)
    return page(request, "changes.html.j2", before=before, after=after, changed=changed, share=_share(found))


@router.get("/move/{action}")
def ask(*, request: Request, user: GetUserDep, may: UserMay, action: Action, version: int, to: str = "") -> Response:
    """What a move will do, and the form for it."""
    _check_may(may, action)
    return _form(request, user.get_name(), _Asked(action, version, to))


@router.post("/move/{action}", dependencies=[Depends(from_this_site)])
def move(
    *, request: Request, user: GetUserDep, may: UserMay, action: Action, version: Annotated[int, Form()],
    reason: FormText, token: FormText = "", to: FormText = "",
) -> Response:  # fmt: skip
    """Do it, in the name of who asked; what was typed stays in a form that is refused."""
    _check_may(may, action)
    check_form(user.get_name(), token)
    try:
        with http_errors():
            _perform(action, version, reason, user.get_name(), to)
    except HTTPException as refusal:
        if refusal.status_code != 400:
            raise
        return _form(request, user.get_name(), _Asked(action, version, to, reason), refused=str(refusal.detail))
    return RedirectResponse("../versions?done=true", status_code=303)


def _perform(action: Action, version_id: int, reason: str, by: str, to: str) -> None:
    settings = Settings()
    if action == "roll_back":
        rollback(settings, version_id, reason, by, to)
    elif action == "approve":
        approve(settings, version_id, reason, by)
    else:
        withdraw(settings, version_id, reason, by)


def _check_may(may: May, action: Action) -> None:
    forbid(may.approve if action == "approve" else may.roll_back, MOVE[action].dag_id)


def _form(request: Request, user: str, asked: _Asked, refused: str = "") -> Response:
    with reading() as read:
        found = _version(read, asked.version_id)
        now = _summary(read, found["live_version"])
        then = _summary(read, _target(read, asked.action, found, asked.to))
        judged = then if asked.action == "roll_back" and then else found
        share = _share([])
        if now and then and now["version_id"] != then["version_id"]:
            share = _share(read("page_changes", before=now["version_id"], after=then["version_id"], pages=PAGES))
        verdicts = read("report_verdicts", version_id=judged["version_id"])
        hidden = read("page_hidden", version_id=judged["version_id"], most=HIDDEN)
    failed = [row for row in verdicts if not row["passed"] and row["level"] == "stop"]
    return page(
        request, "move.html.j2", status=400 if refused else 200, move=MOVE[asked.action], asked=asked, version=judged,
        now=now, then=then, failed=failed, hidden=hidden, most_hidden=HIDDEN, sentences=SENTENCES, refused=refused,
        token=form_token(user), share=share,
    )  # fmt: skip


def _target(read: Reader, action: Action, found: Row, to: str) -> int | None:
    """The version that will be live afterwards, None where there is none."""
    if action == "approve":
        return int(found["version_id"])
    if action == "withdraw":
        return found["live_version"]  # type: ignore[no-any-return]
    if not to:
        return read("page_live")[0]["version_before"]  # type: ignore[no-any-return]
    try:
        with http_errors():
            night = Night.of(to, Settings()).day
    except HTTPException:
        return None
    of_night = read.one("version_of_night", night=night)
    return int(of_night["version_id"]) if of_night else None


def _version(read: Reader, version_id: int) -> Row:
    found = read.one("page_version", version_id=version_id) if version_id < 1 << 63 else None
    if found is None:
        raise HTTPException(404, f"No version {version_id} was judged: the page Versions lists those that were.")
    return found


def _summary(read: Reader, version_id: int | None) -> Row | None:
    return None if version_id is None else _version(read, version_id)


def _share(found: Sequence[Row]) -> dict[str, int]:
    """How many pages were compared, their places, and how many of these hold a product that the other version lacks."""
    places, new = (sum(row[name] for row in found) for name in ("places", "new_places"))
    return {"pages": len(found), "places": int(places), "new_places": int(new)}


def _name(read: Reader, changed: Sequence[Row], before: int, after: int) -> None:
    """Put products with their titles in the place of ids, that of the page too."""
    pages = {row["product_id"] for row in changed}
    ids = pages | {each for row in changed for side in ("new", "gone") for each in row[side] or ()}
    named = read("page_titles", version_id=after, beside=before, product_ids=sorted(ids))
    tell_apart(named)
    by_id = {row["product_id"]: row for row in named}
    for row in changed:
        row["page"] = by_id[row["product_id"]]
        for side in ("new", "gone"):
            row[side] = [by_id[each] for each in row[side] or () if each in by_id]
