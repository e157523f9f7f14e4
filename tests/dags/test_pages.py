"""The page for operators, against PostgreSQL; who may see it is tested through a running Airflow (tests/local)."""

import re
from datetime import date
from functools import cache
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from airflow.api_fastapi.core_api.security import get_user
from fastapi import HTTPException
from fastapi.testclient import TestClient

from pages.app import app
from pages.guards import MAY_LOOK, form_token
from pages.products import PARTS
from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.channels import point_channel
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.steps.report_night import report_night
from tasks.stores.database import transaction
from tasks.stores.ledger import Load, record_load
from tests.nights import OTHER, make_night, rows_of, with_lenient_gate
from tests.tasks.publish.test_explanations import publish_with_reasons
from tests.tasks.publish.test_injection import HOSTILE
from tests.tasks.report.test_while_live import FIRST, deliver, judged, publish, sessions_of
from tests.tasks.test_analysts import strict

pytestmark = pytest.mark.slow
BOTH = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)  # for queries of their own

SCRIPT = "<script>alert('1')</script> mug"


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


@pytest.fixture
def page(settings, monkeypatch):
    ada = SimpleNamespace(get_name=lambda: "ada")
    app.dependency_overrides = {MAY_LOOK.dependency: lambda: None, get_user: lambda: ada}
    monkeypatch.setattr("pages.guards.is_allowed", lambda *_: True)
    yield TestClient(app, follow_redirects=False, raise_server_exceptions=False)
    app.dependency_overrides = {}


@pytest.fixture(scope="module")
def three_nights(install):
    """By server, two nights accepted, a third one refused; to be copied."""

    @cache
    def on(server):
        made, titles = install(server), {"1": SCRIPT, "2": "b", "3": "c", "4": "d"}
        with pytest.MonkeyPatch.context() as patch:
            settings = with_lenient_gate(made.settings, patch)
            publish_with_reasons(settings, "2017-06-28")
            publish_recommendations(make_night("2017-06-29", settings, OTHER, titles=titles), settings)
            with pytest.raises(BadInput, match="churn"):
                publish_recommendations(make_night("2017-06-30", settings), strict(settings))
        return made

    return on


@pytest.fixture
def shop(settings, server, three_nights, tmp_path, monkeypatch):
    """Two nights accepted, a third one refused."""
    with three_nights(server).copied_to(tmp_path) as copy:
        monkeypatch.setenv("DATABASE_URL", copy.database_url)
        yield settings.model_copy(update={"database_url": copy.database_url})


def test_a_product_is_found_by_its_words_and_its_id_and_titles_are_text(shop, page):
    for words in ("mug", "MUG", "1"):
        html = page.get("/search", params={"words": words}).text
        assert "&lt;script&gt;" in html and "<script>" not in html
        assert "product?product_id=1" in html
    assert "No title of the live version" in page.get("/search", params={"words": "nothing like it"}).text
    assert "No title of the live version" not in page.get("/search").text


@BOTH
def test_a_product_shows_its_related_ones_and_why(settings, page):
    publish_with_reasons(settings)
    html = page.get("/product", params={"product_id": "1"}).text
    assert html.index("tab\tand") < html.index("Ünïcödé")
    assert "7 sessions contain both products, the last on 2017-06-27." in html
    assert "The largest part of its score comes from sessions with both." in html
    assert "2017-06-30" in html
    assert 'class="part-co-clicks" x="' in html and "sessions with both +0.50, popularity +0.12" in html
    assert "no session" not in html and "Only the first places are explained." not in html
    assert "Shown on these pages" in html and html.count("rank there") == 1


def test_a_page_gives_the_reasons_that_sql_gives(settings, page):
    publish_with_reasons(settings)
    for heaviest in (*PARTS, None):
        given = {f"score_{name.replace('-', '_')}": 1 if name == heaviest else -1 for name in PARTS}
        given["sessions"] = int(heaviest == "model")
        with transaction(settings) as connection:
            values = ", ".join(f"{column} = {value}" for column, value in given.items())
            connection.execute(sa.text(f"update recommendation_reason set {values}"))
        ((reason,),) = rows_of(settings, "select reason from explain_recommendation('1', '2')")
        assert reason in page.get("/product", params={"product_id": "1"}).text


@BOTH
def test_versions_show_status_and_failed_rules_and_nights_their_figures(shop, page):
    versions = page.get("/versions").text
    assert [word in versions for word in ("retired", "rejected", "churn", "passed the gate", "eclare")] == [True] * 5
    assert versions.index("<b>2017-06-30") < versions.index("<b>2017-06-29")
    html = page.get("/nights").text
    assert "Held-out figures at 10 of 2017-06-30" in html
    assert "0.500<small>0.450 to 0.550</small>" in html
    assert html.index("<b>eclare</b>") < html.index("<b>co-click</b>") < html.index("<b>eclare / best rival</b>")
    assert html.count("<svg") >= 4 and "gate: at least 0.8" in html and "times the baseline" in html
    assert "Held-out figures at 10 of 2017-06-28" in page.get("/nights", params={"night": "2017-06-28"}).text
    verdicts = page.get("/version", params={"version_id": 3}).text
    assert verdicts.index("churn") < verdicts.index("listed")
    assert "failed" in verdicts


@BOTH
def test_the_overview_says_what_is_live_how_good_it_is_and_who_moved_what(shop, page):
    html = page.get("/").text
    assert "of the night 2017-06-29" in html and "since 2" in html and re.search(r"<dd>(\d+) of \1<", html)
    assert "products ever shown" in html and "Held-out figures at 10 of 2017-06-29" in html
    assert html.count("<svg") == 2 and "do they stand first" in html
    assert html.index("Who moved what last") < html.index("passed the gate")
    assert rows_of(shop, "select products, share_of_places from exposure where version_id = 2 order by 1") == [
        (1, pytest.approx(1 / 3)), (2, pytest.approx(2 / 3)), (3, 1)
    ]  # fmt: skip


def test_the_overview_names_the_range_of_days_that_are_ingested_and_how_many_are_missing_in_it(settings, page):
    with transaction(settings) as connection:
        for day in ("2017-06-28", "2017-06-30"):
            record_load(Load(date.fromisoformat(day), [], "hash", 1, 1, 0, []), connection)
    html = page.get("/").text
    assert "2 days from 2017-06-28 to 2017-06-30, 1 missing in between." in html


def test_nights_show_what_readers_saw_on_the_days_that_they_saw_it(settings, page):
    assert "What readers saw" not in page.get("/nights").text
    publish(settings, "2017-06-28", FIRST, "2017-06-29 05:00")
    judged(settings, deliver(settings, sessions_of(0)))
    html = page.get("/nights").text
    seen = html[html.index("What readers saw, judged") :]
    assert "share of the queries judged" in seen and all(f"{name}@10</text>" in seen for name in ("P", "nDCG", "lift"))
    assert ">29 Jun</text>" in seen and ">30 Jun</text>" in seen
    assert seen.index("7 days up to 2017-06-30") < seen.index("<b>2017-06-30</b>") < seen.index("<b>2017-06-29</b>")
    ((low, high),) = rows_of(settings, "select low, high from live_metric where day = '2017-06-30' and metric = 'P'")
    assert f"<small>{low:.3f} to {high:.3f}</small>" in seen


@BOTH
def test_changes_between_two_versions_are_those_of_the_lists(shop, page):
    html = page.get("/changes", params={"before": 1, "after": 2}).text
    assert "<b>66.7%</b>" in html  # of the three places of OTHER; on the page of 2 product 1 went from 1st to 2nd
    assert re.findall(r'<td class="(?:new|gone)">(.*?)</td>', html) == ["d", "b; c", "c", "", "", "c; b"]
    assert page.get("/changes", params={"before": 2, "after": 2}).text.count('<td class="new">') == 0
    assert "No place differs" in page.get("/changes", params={"before": 77, "after": 2}).text


def roll_back(page, headers=None, **form):
    """Send the form as it was shown."""
    asked = page.get("/move/roll_back", params={"version": form.get("version") or 2}).text
    shown = dict(re.findall(r'name="(token|version)" value="([^"]+)"', asked))
    return page.post("/move/roll_back", data=shown | form, headers=headers)


def test_an_operator_goes_back_and_is_named(shop, page):
    asked = page.get("/move/roll_back", params={"version": 2}).text
    assert "<b>2</b> products have a list now, <b>3</b> will have one afterwards: 1 more." in asked
    answer = roll_back(page, reason="odd <titles>")
    assert (answer.status_code, answer.headers["Location"]) == (303, "../versions?done=true")
    moves = rows_of(shop, "select action, night::text, actor, reason from live_history order by change_id")
    assert moves[-1] == ("rollback", "2017-06-28", "ada", "odd <titles>")
    again = roll_back(page, version="2", reason="pressed twice")
    assert again.status_code == 400
    assert "must be 2, got version 1 of night 2017-06-28" in again.text
    assert 'name="reason" value="pressed twice"' in again.text, "what was typed stays"
    further = roll_back(page, version="1", reason="further")
    assert further.status_code == 400
    assert "needs an accepted version before the live one" in further.text
    assert roll_back(page, reason=" ").status_code == 400
    assert roll_back(page, reason="x", to="soon").status_code == 400
    assert roll_back(page, version="", reason="x").status_code == 422
    assert len(rows_of(shop, "select * from live_history")) == len(moves)


def test_who_moved_the_pointer_is_told_what_came_of_it_and_nobody_else(shop, page):
    roll_back(page, reason="odd titles")
    done = page.get("/versions", params={"done": True}).text
    assert "Done: version 1 of the night 2017-06-28 is live. <b>3</b> products have a list now; 2 had one" in done
    assert "Done:" not in page.get("/versions").text
    app.dependency_overrides[get_user] = lambda: SimpleNamespace(get_name=lambda: "eve")
    assert "Done:" not in page.get("/versions", params={"done": True}).text
    assert page.get("/versions", params={"done": "<b>all is well"}).status_code == 422


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
        answer = page.post("/move/roll_back", data={"version": "2", "token": token, "reason": "odd titles"})
        assert answer.status_code == 403 and "load the page again" in answer.text
    monkeypatch.setattr("pages.guards.FORM_SECONDS", -1)
    assert roll_back(page, reason="odd titles").status_code == 403
    assert rows_of(shop, "select * from live_history where action = 'rollback'") == []


def test_what_no_database_can_hold_is_refused(shop, page):
    for path in ("/search?words=%00", "/product?product_id=a%00"):
        answer = page.get(path)
        assert answer.status_code == 400 and "must hold no zero byte" in answer.text, path
    assert page.get(f"/version?version_id={10**30}").status_code == 404
    assert roll_back(page, reason="odd\0titles").status_code == 422


def test_hostile_text_is_no_sql_and_no_error(shop, page):
    for text in HOSTILE:
        assert page.get("/search", params={"words": text}).status_code == 200, text
        assert page.get("/product", params={"product_id": text}).status_code == 404, text
        assert page.get("/version", params={"version_id": text}).status_code == 422, text
        assert page.get("/pairs", params={"product_id": text, "related_product_id": text}).status_code == 200, text


def test_an_empty_shop_has_pages_too(settings, page):
    for path in ("/", "/search?words=tea", "/nights", "/versions", "/pairs"):
        assert page.get(path).status_code == 200, path
    assert "Nothing is live" in page.get("/").text
    assert page.get("/product", params={"product_id": "1"}).status_code == 404


def test_pages_load_nothing_and_are_not_kept(shop, page):
    for path in (
        "/",
        "/search?words=mug",
        "/nights",
        "/versions",
        "/version?version_id=3",
        "/changes?before=1&after=2",
        "/move/roll_back?version=2",
        "/pairs",
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
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"] and " style=" not in answer.text
        assert "http://" not in answer.text and "https://" not in answer.text


def test_a_database_that_is_away_is_said_in_our_words(settings, page, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    answer = page.get("/nights")
    assert answer.status_code == 503
    assert "must answer" in answer.text


@BOTH
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
    assert float(figures["recommendations_live_listed"]) == 0.5
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
    monkeypatch.setattr("pages.lists.may_look", lambda _, user: asked.append(user))
    assert page.get("/api/lists?product_id=2").status_code == 200
    assert asked == ["ada"]

    def forbidden(*_):
        raise HTTPException(403, "Forbidden")

    monkeypatch.setattr("pages.lists.may_look", forbidden)
    assert page.get("/api/lists?product_id=2").status_code == 403


def test_the_stylesheet_is_kept_by_browsers_until_it_changes(page):
    style = page.get(re.search(r'href="(/page-.*?css)"', page.get("/nowhere").text)[1])
    assert style.headers["Content-Type"].startswith("text/css") and "immutable" in style.headers["Cache-Control"]
    assert "prefers-color-scheme: dark" in style.text
    assert style.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_who_is_not_logged_in_is_led_to_the_log_in_and_back(shop):
    answer = TestClient(app, follow_redirects=False).get("/product?product_id=1", headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith("/api/v2/auth/login?next=%2Fproduct%3Fproduct_id%3D1")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    form = TestClient(app).post("/move/roll_back", data={"version": 2, "reason": "who am I"})
    assert form.status_code == 401 and "log in and send the form again" in form.text


def test_a_fault_of_ours_is_a_page_too(shop, page, monkeypatch):
    monkeypatch.setattr("pages.overview.figures_of", lambda _: 1 / 0)
    answer = page.get("/")
    assert answer.status_code == 500 and "api-server" in answer.text and "ZeroDivisionError" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_forms_are_shown_to_those_who_may_and_to_no_other(shop, page, monkeypatch):
    assert "move/approve?version=3" in page.get("/version", params={"version_id": 3}).text
    assert "move/withdraw?version=1" in page.get("/version", params={"version_id": 1}).text
    assert "move/roll_back?version=2" in page.get("/").text
    assert re.findall(r'/move/(.*?)"', page.get("/versions").text) == [
        "approve?version=3", "withdraw?version=3",
        "roll_back?version=2",
        "roll_back?version=2&amp;to=2017-06-28", "withdraw?version=1",
    ]  # fmt: skip
    of_a_pair = {"product_id": "1", "related_product_id": "4"}
    assert 'action="/pairs"' in page.get("/pairs").text
    assert "Block this pair" in page.get("/pairs", params=of_a_pair).text
    monkeypatch.setattr("pages.guards.is_allowed", lambda *_: False)
    for path in ("/", "/versions", "/version?version_id=3"):
        assert "/move/" not in page.get(path).text, path
    assert 'action="/pairs"' not in page.get("/pairs").text + page.get("/pairs", params=of_a_pair).text
    refused = page.get("/move/approve", params={"version": 3})
    assert refused.status_code == 403 and "may trigger the DAG approve_version" in refused.text
    token = form_token("ada")
    for path, form in (("/move/approve", {"version": "3"}), ("/pairs", pair("block", "1", "4"))):
        answer = page.post(path, data=form | {"reason": "because", "token": token})
        assert answer.status_code == 403, path
    assert rows_of(shop, "select count(*) from pair_rule") == [(0,)]


@BOTH
def test_a_refused_version_is_looked_at_and_approved(shop, page):
    looked = page.get("/version", params={"version_id": 3}).text
    assert "version=3&amp;beside=2" in looked and "Look at it before readers do" in looked
    assert "before readers do" not in page.get("/version", params={"version_id": 2}).text, "they see it already"
    asked = page.get("/move/approve", params={"version": 3}).text
    assert asked.index("Version 2") < asked.index("Version 3") and "churn" in asked and "100.0%" not in asked
    assert "<b>2</b> products have a list now, <b>3</b> will have one afterwards: 1 more." in asked
    token = dict(re.findall(r'name="(token)" value="([^"]+)"', asked))
    answer = page.post("/move/approve", data=token | {"version": "3", "reason": "the range changed"})
    assert answer.status_code == 303
    assert rows_of(shop, "select action, version_id, actor, reason from live_history order by change_id")[-1] == (
        "override", 3, "ada", "the range changed"
    )  # fmt: skip
    with transaction(shop) as connection:
        connection.execute(sa.text("delete from live_version"))
    asked = page.get("/move/approve", params={"version": 3}).text
    assert "No product has a list now, <b>3</b> will have one afterwards." in asked


def test_a_version_that_is_not_live_is_withdrawn_with_a_reason(shop, page):
    asked = page.get("/move/withdraw", params={"version": 1}).text
    assert "<b>2</b> products have a list now, as many afterwards. This one has lists for <b>3</b>" in asked
    answer = page.post("/move/withdraw", data={"version": "1", "reason": "wrong prices", "token": form_token("ada")})
    assert answer.status_code == 303
    assert rows_of(shop, "select status from recommendation_version order by 1") == [
        ("live",),
        ("rejected",),
        ("withdrawn",),
    ]
    html = page.get("/versions", params={"done": True}).text
    assert "Done: version 1 of the night 2017-06-28 is withdrawn" in html and "wrong prices" in html
    again = page.post("/move/withdraw", data={"version": "1", "reason": "twice", "token": form_token("ada")})
    assert (
        again.status_code == 400
        and "must be retired or rejected to be withdrawn, got one that is withdrawn" in again.text
    )


def pair(action: str, product: str, related: str, **more: str) -> dict[str, str]:
    return {"action": action, "product_id": product, "related_product_id": related} | more


@BOTH
def test_a_pair_is_blocked_on_the_page_undone_again_and_who_did_it_stays(shop, page):
    listed = "select related_product_id from related_products('1', 5)"
    assert rows_of(shop, listed) == [("4",)]
    token = form_token("ada")
    asked = page.get("/pairs", params=pair("block", "1", "4")).text
    assert "&lt;script&gt;" in asked and '<b class="arrow">d</b>' in asked and "place <b>1</b> of the list" in asked
    assert re.findall(r'<button name="action" value="(\w+)"', asked) == ["block", "pin"], "Enter presses the first"
    answer = page.post("/pairs", data=pair("block", "1", "4", reason="recalled", token=token))
    assert (answer.status_code, answer.headers["Location"]) == (303, "pairs?done=true")
    assert rows_of(shop, listed) == []
    preview = page.get("/move/approve", params={"version": 2}).text
    assert "d <small>4</small> on the page of &lt;script&gt;" in preview and "(pair blocked by ada)" in preview
    done = " ".join(page.get("/pairs", params={"done": True}).text.split())
    assert "readers see <b>d</b> <small>4</small> no more on the page of" in done and "for good.</p>" in done
    assert "Done:" not in page.get("/pairs").text
    app.dependency_overrides[get_user] = lambda: SimpleNamespace(get_name=lambda: "eve")
    assert "Done:" not in page.get("/pairs", params={"done": True}).text, "eve did nothing"
    app.dependency_overrides[get_user] = lambda: SimpleNamespace(get_name=lambda: "ada")
    assert "ada blocked the pair (recalled)" in page.get("/product", params={"product_id": "1"}).text
    html = page.get("/pairs").text
    assert "recalled" in html and "action=none&amp;product_id=1&amp;related_product_id=4" in html
    undo = page.get("/pairs", params=pair("none", "1", "4")).text
    assert "<b>blocked</b> for good by ada: recalled" in undo
    assert re.findall(r'<button name="action" value="(\w+)"', undo) == ["none"]
    assert page.post("/pairs", data=pair("none", "1", "4", reason="was a mistake", token=token)).status_code == 303
    assert rows_of(shop, listed) == [("4",)]
    assert rows_of(shop, "select action, actor, reason from pair_rule order by rule_id") == [
        ("block", "ada", "recalled"), ("none", "ada", "was a mistake")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (pair("pin", "1", "1"), "a pair must be of two products"),
        (pair("pin", "1", " "), "a pair must be of two products"),
        (pair("pin", "1", "4", until="soon"), "a rule&#39;s last day is written YYYY-MM-DD"),
        (pair("pin", "1", "4", until="2001-01-01"), "a rule must hold today"),
        (pair("hide", "1", "4"), "an action must be one of pin, block, none"),
    ],
)
def test_a_refused_rule_keeps_what_was_typed(shop, page, form, says):
    answer = page.post("/pairs", data=form | {"reason": "my typed reason", "token": form_token("ada")})
    assert answer.status_code == 400 and says in answer.text and 'value="my typed reason"' in answer.text
    assert rows_of(shop, "select count(*) from pair_rule") == [(0,)]


@BOTH
def test_search_finds_beginnings_and_what_was_mistyped_and_says_when_it_cut(settings, page, monkeypatch):
    titles = {"1": "Red mug", "2": "Red muffin", "3": "Blue kettle", "4": "Green teapot"}
    publish_recommendations(make_night("2017-06-30", settings, titles=titles), settings)

    def found(words: str) -> list[str]:
        return re.findall(r'product\?product_id=(\d)"', page.get("/search", params={"words": words}).text)

    assert found("mu") == found("re mu") == ["1", "2"], "40 sessions, then 20"
    assert found("ketle") == ["3"] and "finds" in page.get("/search", params={"words": "ketle"}).text
    assert found("grene teapo") == ["4"] and found("xyzxyz") == []
    monkeypatch.setattr("pages.products.CLICKED", 1)
    assert found("mu") == ["1", "2"] and found("kett") == ["3"], "also of what is seldom clicked"
    monkeypatch.setattr("pages.products.FOUND", 1)
    html = page.get("/search", params={"words": "mu"}).text
    assert "than these 1 begin so" in html and found("mu") == ["1"]
    with transaction(settings) as connection:
        connection.execute(sa.text("drop extension pg_trgm cascade"))
    html = page.get("/search", params={"words": "ketle"}).text
    assert "lacks the extension pg_trgm" in html and found("ketle") == [] and found("kett") == ["3"]


@BOTH
def test_products_of_one_title_are_told_apart_by_what_differs(settings, page):
    for day, related in (("2017-06-29", {"3": ["1", "4"], "4": ["2"]}), ("2017-06-30", {"3": ["2", "4"], "4": ["1"]})):
        titles = {"1": "Mug", "2": "Mug", "3": "Bowl", "4": "Cup"}
        night = make_night(day, settings, related, titles, category=["Tea"] * 4, price=["$1", "$2", "$3", "$4"])
        publish_recommendations(night, settings)
    found = page.get("/search", params={"words": "mug"}).text
    assert "<b>1</b> · Tea · <b>$1</b>" in found and "<b>2</b> · Tea · <b>$2</b>" in found
    html = page.get("/product", params={"product_id": "3"}).text
    assert "<b>2</b> · Tea · <b>$2</b> · in 20 sessions" in html and "4 · Tea · $4 · in 0 sessions" in html
    assert "<td>Mug <small>$1 · 1</small></td>" in html and "<td>Cup</td>" in html, "over the nights"
    changes = page.get("/changes", params={"before": 1, "after": 2}).text
    assert '<td class="new">Mug <small>$2 · 2</small></td><td class="gone">Mug <small>$1 · 1</small></td>' in changes


@BOTH
def test_two_versions_of_a_list_stand_side_by_side(shop, page):
    html = page.get("/product", params={"product_id": "2", "version": 1, "beside": 2}).text
    first, second = (html.index(f'id="list-{version}"') for version in (1, 2))
    assert first < second < html.index("Shown on these pages")
    assert "place 2 in the other" in html[first:second] and "not in the other" in html[second:]
    history = html[html.index("over the nights") :]
    assert history.count("<th class") == 2 and "28 Jun" in history and "29 Jun" in history
    assert page.get("/product", params={"product_id": "2", "version": 77}).status_code == 404


def test_pictures_are_loaded_from_the_hosts_that_are_named_and_from_no_other(settings, page, monkeypatch):
    addresses = ["https://img.shop.example/1.jpg", "https://elsewhere.example/2.jpg", None, None]
    night = make_night("2017-06-30", settings, image_url=addresses, price=["$1", None, None, None])
    publish_recommendations(night, settings)
    answer = page.get("/product", params={"product_id": "1"})
    assert "<img" not in answer.text and "img-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<b>$1</b>" in answer.text
    monkeypatch.setenv("IMAGE_HOSTS", "img.shop.example")
    answer = page.get("/product", params={"product_id": "1"})
    assert "img-src img.shop.example;" in answer.headers["Content-Security-Policy"]
    assert re.findall(r'<img class="picture" src="([^"]+)"', answer.text) == [addresses[0]]


def test_the_report_of_a_night_is_served_as_it_lies_in_the_storage(shop, page):
    assert "has left no report" in page.get("/report", params={"night": "2017-06-29"}).text
    report_night(Night.of("2017-06-29", shop), shop)
    answer = page.get("/report", params={"night": "2017-06-29"})
    assert answer.status_code == 200 and "<h1>Night 2017-06-29" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert page.get("/report", params={"night": "soon"}).status_code == 400
