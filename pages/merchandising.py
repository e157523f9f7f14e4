"""Pin a related product to a page, or block it there: the form, and who decided what, and why."""

from datetime import date
from typing import Any, NamedTuple

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from pages.guards import MAY_LOOK, UserMay, check_form, forbid, form_token, from_this_site
from pages.names import tell_apart
from pages.queries import Reader, http_errors, reading
from pages.rendering import FormText, page
from tasks.errors import BadInput
from tasks.publish.pair_rules import PairRule, set_pair_rule
from tasks.settings import Settings

RULES = 100  # that are shown
DECISIONS = {"pin": "Pin this pair", "block": "Block this pair", "none": "Undo what was decided"}

router = APIRouter(dependencies=[MAY_LOOK])


class _Typed(NamedTuple):
    """What the form was filled in with, by a link or by hand."""

    action: str
    product_id: str
    related_product_id: str
    until: str = ""
    reason: str = ""


@router.get("/pairs")
def pairs(
    *,
    request: Request,
    user: GetUserDep,
    may: UserMay,
    action: str = "pin",
    product_id: str = "",
    related_product_id: str = "",
    done: bool = False,
) -> Response:
    """What holds, what held, and the form, for the pair that the link that led here names.

    done: whoever looks comes from the form, so their last rule is said.
    """
    typed = _Typed(action, product_id.strip(), related_product_id.strip())
    return _shown(request, user.get_name(), may, typed, done=done)


@router.post("/pairs", dependencies=[Depends(from_this_site)])
def decide(
    *, request: Request, user: GetUserDep, may: UserMay, action: FormText, product_id: FormText,
    related_product_id: FormText, reason: FormText = "", until: FormText = "", token: FormText = "",
) -> Response:  # fmt: skip
    """Add a rule in the name of who asked; what was typed stays in a form that is refused."""
    forbid(may.set_rules, "refresh_recommendations")
    check_form(user.get_name(), token)
    typed = _Typed(action, product_id.strip(), related_product_id.strip(), until, reason)
    try:
        with http_errors():
            rule = PairRule(typed.product_id, typed.related_product_id, action, reason.strip(), _day(until))
            set_pair_rule(Settings(), rule, user.get_name())
    except HTTPException as refusal:
        if refusal.status_code != 400:
            raise
        return _shown(request, user.get_name(), may, typed, refused=str(refusal.detail))
    return RedirectResponse("pairs?done=true", status_code=303)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise BadInput(
            f"a rule's last day is written YYYY-MM-DD, got {text!r}: write for example 2017-06-30"
        ) from error


def _shown(
    request: Request, user: str, may: UserMay, typed: _Typed, *, refused: str = "", done: bool = False
) -> Response:
    with reading() as read:
        version_id = read("page_live")[0]["version_id"]
        rules = read("page_pair_rules", version_id=version_id, rules=RULES)
        is_whole = typed.product_id and typed.related_product_id
        pair = _pair(read, version_id, typed) if is_whole or refused else None
    own = next((rule for rule in rules if done and rule["actor"] == user), None)
    return page(
        request, "pairs.html.j2", status=400 if refused else 200, rules=rules, typed=typed, refused=refused, pair=pair,
        own=own, token=form_token(user), may_set_rules=may.set_rules,
    )  # fmt: skip


def _pair(read: Reader, version_id: int | None, typed: _Typed) -> dict[str, Any]:
    """Both products as the live version has them (None: it has none), what holds for the pair, what may be decided."""
    ids = {"product_id": typed.product_id, "related_product_id": typed.related_product_id}
    product, related = (read.one("page_product", version_id=version_id, product_id=each) for each in ids.values())
    tell_apart([each for each in (product, related) if each])
    (found,) = read("page_pair", version_id=version_id, **ids)
    return found | {"product": product, "related": related, "offered": _offered(typed.action, bool(found["action"]))}


def _offered(action: str, holds: bool) -> dict[str, str]:
    """What the buttons say by action: the one that was asked for comes first, since Enter presses that."""
    names = ["none"] if action == "none" else [action, "pin", "block", *(["none"] if holds else [])]
    return {name: DECISIONS[name] for name in names if name in DECISIONS}
