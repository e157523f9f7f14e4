"""The page for operators, against PostgreSQL; who may see it is tested through a running Airflow (tests/local)."""

import re
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from airflow.api_fastapi.core_api.security import get_user
from fastapi import HTTPException
from fastapi.testclient import TestClient

from pages.app import MAY_GO_BACK, MAY_LOOK, app
from pages.guards import form_token
from tasks.errors import BadInput
from tasks.publish.channels import point_channel
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import transaction
from tests.nights import OTHER, make_night, rows_of, with_lenient_gate
from tests.tasks.publish.test_explanations import publish_with_reasons
from tests.tasks.publish.test_injection import HOSTILE
from tests.tasks.report.test_while_live import FIRST, deliver, judged, publish, sessions_of
from tests.tasks.test_analysts import strict

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)]

SCRIPT = "<script>alert('1')</script> mug"


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


@pytest.fixture
def page(settings):
    ada = SimpleNamespace(get_name=lambda: "ada")
    app.dependency_overrides = {MAY_LOOK.dependency: lambda: None, MAY_GO_BACK: lambda: None, get_user: lambda: ada}
    yield TestClient(app, follow_redirects=False)
    app.dependency_overrides = {}


@pytest.fixture
def shop(settings):
    """Two nights accepted, a third one refused."""
    publish_with_reasons(settings, "2017-06-28")
    publish_recommendations(
        make_night("2017-06-29", settings, OTHER, titles={"1": SCRIPT, "2": "b", "3": "c", "4": "d"}), settings
    )
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(make_night("2017-06-30", settings), strict(settings))
    return settings


def test_a_product_is_found_by_its_words_and_its_id_and_titles_are_text(shop, page):
    for words in ("mug", "MUG", "1"):
        html = page.get("/", params={"words": words}).text
        assert "&lt;script&gt;" in html and "<script>" not in html
        assert "product?product_id=1" in html
    assert "knows no product" in page.get("/", params={"words": "nothing like it"}).text
    assert "knows no product" not in page.get("/").text


def test_a_product_shows_its_related_ones_and_why(settings, page):
    publish_with_reasons(settings)
    html = page.get("/product", params={"product_id": "1"}).text
    assert html.index("tab\tand") < html.index("Ünïcödé")
    assert "7 sessions contain both products, the last on 2017-06-27." in html
    assert "The largest part of its score comes from sessions with both." in html
    assert "2017-06-30" in html


def test_nights_show_status_failed_rules_and_figures(shop, page):
    html = page.get("/nights").text
    assert [word in html for word in ("retired", "rejected", "churn", "<polyline", "P@10 1.00")] == [True] * 5
    assert "Held-out figures at 10 of 2017-06-30" in html
    assert "0.500<br><small>0.450 to 0.550</small>" in html
    assert html.index("<td>eclare<br>") < html.index("<td>co-click<br>") < html.index("<td>eclare / best rival<br>")
    assert html.index("2017-06-30") < html.index("2017-06-29</td>")
    verdicts = page.get("/version", params={"version_id": 3}).text
    assert verdicts.index("churn") < verdicts.index("listed")
    assert "failed" in verdicts


def test_nights_show_what_readers_saw_on_the_days_that_they_saw_it(settings, page):
    assert "What readers saw" not in page.get("/nights").text
    publish(settings, "2017-06-28", FIRST, "2017-06-29 05:00")
    judged(settings, deliver(settings, sessions_of(0)))
    html = page.get("/nights").text
    seen = html[html.index("What readers saw") : html.index("Held-out figures")]
    assert seen.count("<polyline") == 4 and "share of the queries judged, over 7 days" in seen
    assert "<text" in seen and ">2017-06-29</text>" in seen and ">2017-06-30</text>" in seen
    assert seen.index("7 days up to 2017-06-30") < seen.index("<td>2017-06-30</td>") < seen.index("<td>2017-06-29</td>")
    ((low, high),) = rows_of(settings, "select low, high from live_metric where day = '2017-06-30' and metric = 'P'")
    assert f"<small>{low:.3f} to {high:.3f}</small>" in seen


def test_changes_between_two_versions_are_those_of_the_lists(shop, page):
    html = page.get("/changes", params={"before": 1, "after": 2}).text
    assert html.count('<td class="live">') == 3  # every place of OTHER holds another product, or is new
    assert page.get("/changes", params={"before": 2, "after": 2}).text.count('<td class="live">') == 0
    assert "No place differs" in page.get("/changes", params={"before": 77, "after": 2}).text


def roll_back(page, headers=None, **form):
    """Send the form as it was shown."""
    shown = dict(re.findall(r'name="(token|version)" value="([^"]+)"', page.get("/nights").text))
    return page.post("/roll_back", data=shown | form, headers=headers)


def test_an_operator_goes_back_and_is_named(shop, page):
    answer = roll_back(page, reason="odd <titles>")
    assert (answer.status_code, answer.headers["Location"]) == (303, "nights")
    moves = rows_of(shop, "select action, night::text, actor, reason from live_history order by change_id")
    assert moves[-1] == ("rollback", "2017-06-28", "ada", "odd <titles>")
    again = roll_back(page, version="2", reason="pressed twice")
    assert again.status_code == 400
    assert "must be 2, got version 1 of night 2017-06-28" in again.text
    further = roll_back(page, reason="further")
    assert further.status_code == 400
    assert "needs an accepted version before the live one" in further.text
    assert roll_back(page, reason=" ").status_code == 400
    assert roll_back(page, reason="x", to="soon").status_code == 400
    assert roll_back(page, version="", reason="x").status_code == 422
    assert len(rows_of(shop, "select * from live_history")) == len(moves)


@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),  # another port or a sister domain
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "http://elsewhere.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_no_other_site_sends_a_form(shop, page, headers, changes):
    answer = roll_back(page, headers, reason="as another site would")
    assert answer.status_code == (303 if changes else 403)
    assert (rows_of(shop, "select count(*) from live_history where action = 'rollback'") == [(1,)]) is changes


def test_a_form_is_sent_by_who_saw_it_and_in_time(shop, page, monkeypatch):
    for token in ("", "guessed", form_token("eve")):
        answer = page.post("/roll_back", data={"version": "2", "token": token, "reason": "odd titles"})
        assert answer.status_code == 403 and "load the page again" in answer.text
    monkeypatch.setattr("pages.guards.FORM_SECONDS", -1)
    assert roll_back(page, reason="odd titles").status_code == 403
    assert rows_of(shop, "select * from live_history where action = 'rollback'") == []


def test_what_no_database_can_hold_is_refused(shop, page):
    for path in ("/?words=%00", "/product?product_id=a%00"):
        answer = page.get(path)
        assert answer.status_code == 400 and "must hold no zero byte" in answer.text, path
    assert page.get(f"/version?version_id={10**30}").status_code == 404
    assert roll_back(page, reason="odd\0titles").status_code == 422


def test_hostile_text_is_no_sql_and_no_error(shop, page):
    for text in HOSTILE:
        assert page.get("/", params={"words": text}).status_code == 200, text
        assert page.get("/product", params={"product_id": text}).status_code == 404, text
        assert page.get("/version", params={"version_id": text}).status_code == 422, text


def test_an_empty_shop_has_pages_too(settings, page):
    assert page.get("/").status_code == page.get("/nights").status_code == 200
    assert page.get("/product", params={"product_id": "1"}).status_code == 404


def test_pages_load_nothing_and_are_not_kept(shop, page):
    for path in (
        "/",
        "/nights",
        "/product?product_id=1",
        "/product?product_id=none",
        "/version",
        "/nowhere",
        "/metrics",
    ):
        answer = page.get(path)
        assert answer.headers["Content-Type"].startswith("text/")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "http://" not in answer.text and "https://" not in answer.text


def test_a_database_that_is_away_is_said_in_our_words(settings, page, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    answer = page.get("/nights")
    assert answer.status_code == 503
    assert "must answer" in answer.text


def test_prometheus_reads_figures_with_a_token_alone(shop, page, monkeypatch):
    assert page.get("/metrics").status_code == 404
    monkeypatch.setenv("METRICS_TOKEN", "")
    assert page.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    monkeypatch.setenv("METRICS_TOKEN", "sesame")
    for headers in ({}, {"Authorization": "Bearer guessed"}, {"Authorization": "sesame"}):
        assert page.get("/metrics", headers=headers).status_code == 401
    with transaction(shop) as connection:
        connection.execute(sa.text("update live_version set since = now() - interval '90 minutes'"))
    answer = page.get("/metrics", headers={"Authorization": "Bearer sesame"})
    figures = dict(line.split() for line in answer.text.splitlines() if not line.startswith("#"))
    assert float(figures["recommendations_live_version_age_hours"]) == 1.5
    assert float(figures["recommendations_live_rows"]) == 3
    assert float(figures["recommendations_live_products"]) == 2
    assert float(figures["recommendations_live_coverage"]) == 0.5
    assert float(figures["recommendations_rejected_versions"]) == 1
    assert float(figures["recommendations_live_warnings"]) == 0
    assert "recommendations_refused_share" not in figures


def test_lists_are_read_as_json_with_a_token_and_kept_by_their_version(shop, page, monkeypatch):
    monkeypatch.setattr("pages.lists.get_user", nobody)
    lists, sesame = "/api/lists?product_id=2", {"Authorization": "Bearer sesame"}
    assert page.get(lists, headers=sesame).status_code == 401, "no token is set"
    monkeypatch.setenv("LISTS_TOKEN", "sesame")
    for headers in ({}, {"Authorization": "Bearer guessed"}, {"Authorization": "sesame"}):
        assert page.get(lists, headers=headers).status_code == 401
    answer = page.get(lists, headers=sesame)
    first = {"rank": 1, "related_product_id": "3", "title": "c", "score": 0.9, "source": "model"}
    second = {"rank": 2, "related_product_id": "1", "title": SCRIPT, "score": 0.5, "source": "model"}
    assert answer.json() == {
        "product_id": "2", "channel": "default", "version_id": 2, "night": "2017-06-29",
        "related": [first, second],
    }  # fmt: skip
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert len(page.get(f"{lists}&k=1", headers=sesame).json()["related"]) == 1
    tag = answer.headers["ETag"]
    assert tag.startswith('"2-')
    for known in (tag, f'"1-00", W/{tag}'):
        again = page.get(lists, headers=sesame | {"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    with transaction(shop) as connection:
        connection.execute(sa.text("insert into blocked_product values ('3')"))
    blocked = page.get(lists, headers=sesame | {"If-None-Match": tag})
    assert [row["rank"] for row in blocked.json()["related"]] == [2], "the version is the same, the list is not"
    point_channel(shop, "b", "last night's lists", version_id=1)
    on_b = page.get(f"{lists}&channel=b", headers=sesame | {"If-None-Match": tag})
    assert (on_b.json()["version_id"], on_b.headers["ETag"][:3]) == (1, '"1-')
    refused = {"product_id=none": 404, "product_id=a%00": 400, "k=1": 422, "product_id=2&k=0": 422}
    for query, status in refused.items():
        answer = page.get(f"/api/lists?{query}", headers=sesame)
        assert (answer.status_code, list(answer.json())) == (status, ["detail"])
        assert answer.headers["Cache-Control"] == "no-store"


async def nobody(*_):
    raise HTTPException(401, "Not authenticated")


def test_who_may_look_at_the_page_reads_lists_without_a_token(shop, page, monkeypatch):
    asked = []

    async def ada(*_):
        return "ada"

    monkeypatch.setattr("pages.lists.get_user", ada)
    monkeypatch.setattr("pages.lists.MAY_LOOK", lambda _, user: asked.append(user))
    assert page.get("/api/lists?product_id=2").status_code == 200
    assert asked == ["ada"]

    def forbidden(*_):
        raise HTTPException(403, "Forbidden")

    monkeypatch.setattr("pages.lists.MAY_LOOK", forbidden)
    assert page.get("/api/lists?product_id=2").status_code == 403
