"""Pin a related product to a page, or block it there: the form, and who decided what, and why."""

from datetime import date

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from pages.guards import MAY_LOOK, UserMay, check_form, forbid, form_token, from_this_site
from pages.queries import http_errors, reading
from pages.rendering import FormText, page
from tasks.errors import BadInput
from tasks.publish.pair_rules import PairRule, set_pair_rule
from tasks.settings import Settings

RULES = 100  # that are shown

router = APIRouter(dependencies=[MAY_LOOK])


@router.get("/pairs")
def pairs(
    *,
    request: Request,
    user: GetUserDep,
    may: UserMay,
    action: str = "pin",
    product_id: str = "",
    related_product_id: str = "",
) -> Response:
    """What holds, what held, and the form, filled in as the link that led here says."""
    typed = {"action": action, "product_id": product_id, "related_product_id": related_product_id}
    return _shown(request, user.get_name(), may, typed | {"until": "", "reason": ""})


@router.post("/pairs", dependencies=[Depends(from_this_site)])
def decide(
    *, request: Request, user: GetUserDep, may: UserMay, action: FormText, product_id: FormText,
    related_product_id: FormText, reason: FormText = "", until: FormText = "", token: FormText = "",
) -> Response:  # fmt: skip
    """Add a rule in the name of who asked; what was typed stays in a form that is refused."""
    forbid(may.set_rules, "refresh_recommendations")
    check_form(user.get_name(), token)
    typed = {"action": action, "product_id": product_id, "related_product_id": related_product_id}
    typed |= {"until": until, "reason": reason}
    try:
        with http_errors():
            rule = PairRule(product_id.strip(), related_product_id.strip(), action, reason.strip(), _day(until))
            set_pair_rule(Settings(), rule, user.get_name())
    except HTTPException as refusal:
        if refusal.status_code != 400:
            raise
        return _shown(request, user.get_name(), may, typed, refused=str(refusal.detail))
    return RedirectResponse("pairs", status_code=303)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise BadInput(
            f"a rule's last day is written YYYY-MM-DD, got {text!r}: write for example 2017-06-30"
        ) from error


def _shown(request: Request, user: str, may: UserMay, typed: dict[str, str], refused: str = "") -> Response:
    with reading() as read:
        rules = read("page_pair_rules", version_id=read("page_live")[0]["version_id"], rules=RULES)
    return page(
        request, "pairs.html.j2", status=400 if refused else 200, rules=rules, typed=typed, refused=refused,
        token=form_token(user), may_set_rules=may.set_rules,
    )  # fmt: skip
