"""An operator at the browser: backfills of days and of a past night, the page; and what a viewer may not do."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from local.airflow_api import AirflowApi
from tasks.publish.pair_rules import PairRule, set_pair_rule
from tasks.publish.rollback import approve
from tasks.settings import Settings
from tests.local.browser import CHROMIUM, DRIVER, SIZE, Browser, browser
from tests.local.hands import Hand, KeyHand, MouseHand
from tests.local.topology import DELIVERED, INGESTED, MISSED, NightRun, Topology
from tests.loopback import page
from tests.nights import rows_of
from tests.small_shop import IDS, NIGHT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # Airflow's boot, kernels to compile and a night, beside two other files
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: chromium chromium-driver)"
    ),
]

PAST = INGESTED[0]
SHOWN = {"ingest_clicks": "Clean the clicks of the day", "refresh_recommendations": "Publish the night"}


@pytest.fixture(scope="module")
def api(topology: Topology) -> AirflowApi:
    return topology.airflow.api("op")


@pytest.fixture(scope="module")
def opened(topology: Topology) -> Iterator[Browser]:
    with browser(topology.airflow.url) as opened:
        yield opened


@pytest.fixture
def screen(opened: Browser) -> Browser:
    """At a desk, whatever the test before it looked at."""
    opened.driver.switch_to.default_content()
    opened.driver.set_window_size(*SIZE)
    return opened


def log_in(screen: Browser, topology: Topology, user: str) -> None:
    screen.be_let_in(user, topology.airflow.api(user).token)


def fill_in_a_backfill(screen: Browser, dag_id: str, first: date, last: date) -> None:
    """Fill in Airflow's own form, beside which the DAG's tasks are named."""
    screen.open(f"/dags/{dag_id}")
    screen.wait(lambda: SHOWN[dag_id] in screen.driver.page_source)
    screen.find("[data-testid=trigger-dag-button]").click()
    screen.click_text("Backfill", "[role=dialog] label")
    for place, day in enumerate((first, last)):
        screen.wait(lambda at=place: screen.all("[data-testid=datetime-input]")[at]).click()
        screen.type("input[placeholder='YYYY/MM/DD']", f"{day:%Y/%m/%d}")
        screen.type("input[placeholder='HH:mm']", "00:00")
        screen.type("input[placeholder='HH:mm']", Keys.ESCAPE)
        screen.wait(lambda: not screen.all("input[placeholder='YYYY/MM/DD']"))


def backfill(screen: Browser, dag_id: str, first: date, last: date) -> None:
    """Fill the form in, send it off, and do not look on: Airflow's pages are drawn anew all the time."""
    fill_in_a_backfill(screen, dag_id, first, last)
    screen.wait(lambda: ready(screen))
    screen.picture(f"backfill-{dag_id}")
    ready(screen).click()
    screen.wait(lambda: not screen.all("[role=dialog]"))
    screen.driver.get("about:blank")


def ready(screen: Browser):
    (button,) = screen.all("[role=dialog] button", "Run Backfill")
    return button if button.is_enabled() else None


def wait_for_runs(api: AirflowApi, dag_id: str, count: int, since: str) -> None:
    waited_until = time.monotonic() + 240
    while time.monotonic() < waited_until:
        runs = api.call("GET", f"dags/{dag_id}/dagRuns", params={"start_date_gte": since})["dag_runs"]
        states = [run["state"] for run in runs]
        assert "failed" not in states
        if states.count("success") == count:
            return
        time.sleep(0.5)
    pytest.fail(f"{dag_id} ended in {states}")


def everything_run(api: AirflowApi) -> list[int]:
    backfills = api.call("GET", "backfills", params={"dag_id": "ingest_clicks"})
    return [backfills["total_entries"], api.call("GET", "dags/ingest_clicks/dagRuns")["total_entries"]]


@pytest.fixture(scope="module")
def began() -> str:
    """Runs from here on are those of this file."""
    return datetime.now(UTC).isoformat()


@pytest.fixture(scope="module")
def published(topology: Topology, night_run: NightRun, opened: Browser, api: AirflowApi, began: str) -> Settings:
    """A night is live, and an operator backfilled in the browser the days that were missed before it."""
    log_in(opened, topology, "op")
    backfill(opened, "ingest_clicks", MISSED[0], MISSED[-1])
    wait_for_runs(api, "ingest_clicks", len(MISSED), began)
    return topology.settings


@pytest.fixture(scope="module")
def past_night(topology: Topology, published: Settings, opened: Browser, api: AirflowApi, began: str) -> Settings:
    """An operator backfilled a past night, too: there is a version to go back to, and to compare with."""
    log_in(opened, topology, "op")
    backfill(opened, "refresh_recommendations", PAST, PAST)
    wait_for_runs(api, "refresh_recommendations", 1, began)
    return published


def test_an_operator_backfills_days_and_sees_them_in_the_ledger(published: Settings) -> None:
    days = rows_of(published, "select day, accepted from ingest_health order by day")
    assert days == [(day, 600) for day in DELIVERED]


def test_a_past_night_is_backfilled_and_the_live_one_is_untouched(past_night: Settings) -> None:
    versions = rows_of(past_night, "select night, status from recommendation_version order by version_id")
    assert versions == [(NIGHT, "live"), (PAST, "retired")]
    assert rows_of(past_night, "select action, night from live_history") == [("publish", NIGHT)]


def test_a_run_leads_to_the_report_of_its_night(
    topology: Topology, published: Settings, api: AirflowApi, screen: Browser
) -> None:
    log_in(screen, topology, "op")
    (run, *_) = api.call("GET", "dags/refresh_recommendations/dagRuns", params={"order_by": "id"})["dag_runs"]
    links = api.call(
        "GET", f"dags/refresh_recommendations/dagRuns/{run['dag_run_id']}/taskInstances/report_night/links"
    )
    assert links["extra_links"] == {"Report of the night": f"/recommendations/report?night={NIGHT}"}
    screen.open(links["extra_links"]["Report of the night"])
    assert screen.find("h1").text.startswith(f"Night {NIGHT}")


def test_a_viewer_may_look_and_not_backfill(
    topology: Topology, published: Settings, api: AirflowApi, screen: Browser
) -> None:
    log_in(screen, topology, "analyst")
    ran = everything_run(api)
    fill_in_a_backfill(screen, "ingest_clicks", MISSED[0] - timedelta(days=1), MISSED[0])
    time.sleep(2)
    if button := ready(screen):
        button.click()
    time.sleep(2)
    screen.picture("viewer-refused")
    assert everything_run(api) == ran
    screen.open("/recommendations/version?version_id=1")
    screen.wait(lambda: "Verdicts of the gate" in screen.driver.page_source)
    assert "/move/" not in screen.driver.page_source, "no form for those who may not send it"
    screen.open("/recommendations/move/roll_back?version=1")
    screen.wait(lambda: "Only who may trigger the DAG roll_back" in screen.driver.page_source)
    assert rows_of(published, "select action from live_history") == [("publish",)]


def test_the_page_is_used_by_keyboard_and_on_a_phone(topology: Topology, published: Settings, screen: Browser) -> None:
    log_in(screen, topology, "op")
    screen.driver.set_window_size(400, 850)
    screen.open("/recommendations/search")
    screen.driver.switch_to.active_element.send_keys(IDS[0], Keys.ENTER)  # the search box has the focus
    screen.wait(lambda: screen.all("td a"))
    screen.driver.switch_to.active_element.send_keys(Keys.TAB, Keys.TAB)
    screen.driver.switch_to.active_element.send_keys(Keys.ENTER)
    screen.wait(lambda: "Shown on these pages" in screen.driver.page_source)
    assert len(screen.all("ol.list > li")) > 5
    width = screen.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, "only tables scroll sideways"
    screen.picture("product-on-a-phone")


def test_who_is_not_logged_in_comes_back_to_the_page_after_the_log_in(
    topology: Topology, published: Settings, screen: Browser
) -> None:
    screen.driver.delete_all_cookies()
    screen.user = ""
    screen.open(f"/recommendations/product?product_id={IDS[3]}")
    screen.type("input[name=username]", "op")
    screen.type("input[name=password]", topology.airflow.passwords["op"])
    screen.find("button[type=submit]").click()
    screen.wait(lambda: "Shown on these pages" in screen.driver.page_source)
    assert screen.driver.current_url.endswith(f"/recommendations/product?product_id={IDS[3]}")
    screen.user = "op"


PAGES = {  # by name of its picture
    "overview": "",
    "search": "search?words=theme3",
    "product": f"product?product_id={IDS[3]}",
    "compared": f"product?product_id={IDS[3]}&version=1&beside=2",
    "nights": "nights",
    "versions": "versions",
    "version": "version?version_id=1",
    "changes": "changes?before=2&after=1",
    "roll-back": "move/roll_back?version=1",
    "pairs": f"pairs?action=block&product_id={IDS[3]}&related_product_id={IDS[4]}",
    "not-possible": "nowhere",
    "report": f"report?night={NIGHT}",
}


def test_every_page_is_drawn_on_a_desk_and_on_a_phone_by_day_and_by_night(
    topology: Topology, past_night: Settings, screen: Browser
) -> None:
    log_in(screen, topology, "op")
    folder = os.environ.get("SCREENSHOTS")
    screen.driver.get_log("browser")
    for name, path in PAGES.items():
        screen.open(f"/recommendations/{path}")
        for width in (1440, 390):
            for theme in ("light", "dark"):
                screen.be_as(width, theme)
                if folder:
                    Path(folder, f"{name}-{width}-{theme}.png").write_bytes(screen.whole_page(width))
                script = "return document.documentElement.scrollWidth - window.innerWidth"
                assert screen.driver.execute_script(script) <= 0, (name, width)
                ground = screen.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
                assert (ground == "rgb(17, 23, 29)") is (theme == "dark"), name
    screen.look_no_more()
    refused = [each["message"] for each in screen.driver.get_log("browser") if "Content Security" in each["message"]]
    assert refused == []


FORGED = """<form method="post" action="{action}"><input name="version" value="1"><input name="reason" value="forged">
<input name="token" value="guessed"></form><script>document.forms[0].submit()</script>"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # another port of the same site, and another site
def test_another_site_cannot_roll_back_with_the_operator_s_cookie(
    topology: Topology, published: Settings, screen: Browser, host: str
) -> None:
    log_in(screen, topology, "op")
    before = rows_of(published, "select * from live_history")
    with page(FORGED.format(action=f"{screen.url}/recommendations/move/roll_back")) as site:
        screen.driver.get(site.replace("127.0.0.1", host))
        screen.wait(lambda: "another site sent it: nothing has changed" in screen.driver.page_source)
    assert rows_of(published, "select * from live_history") == before
    screen.open("/recommendations/versions")
    screen.wait(lambda: "Who did what" in screen.driver.page_source)  # the cookie was and is good


def test_the_page_inside_airflow_is_light_or_dark_as_airflow_is(
    topology: Topology, published: Settings, screen: Browser
) -> None:
    log_in(screen, topology, "op")
    screen.open("/recommendations/")  # of the same origin, as what Airflow keeps in the browser
    for theme, ground in (("dark", "rgb(17, 23, 29)"), ("light", "rgb(244, 246, 248)")):
        screen.driver.execute_script(f"localStorage.setItem('theme', '{theme}')")
        screen.open("/plugin/recommendations")
        screen.driver.switch_to.frame(screen.find("iframe"))
        screen.wait(lambda: screen.all("h1"))
        assert screen.driver.execute_script("return getComputedStyle(document.body).backgroundColor") == ground
        screen.driver.switch_to.default_content()


def test_an_operator_rolls_back_in_the_page_inside_airflow(
    topology: Topology, past_night: Settings, screen: Browser
) -> None:
    log_in(screen, topology, "op")
    screen.open("/plugin/recommendations")
    screen.driver.switch_to.frame(screen.find("iframe"))
    screen.click_text("Roll back", "a.button")
    screen.wait(lambda: "Live afterwards" in screen.driver.page_source)
    screen.picture("roll-back")
    screen.type("input[name=reason]", "odd titles")
    screen.find("button.grave").click()
    screen.wait(lambda: rows_of(past_night, "select status from recommendation_version order by 1")[0] == ("live",))
    screen.wait(lambda: len(rows_of(past_night, "select * from live_history")) == 2)
    move = rows_of(past_night, "select action, night, actor, reason from live_history order by change_id desc limit 1")
    assert move == [("rollback", PAST, "op", "odd titles")]
    [(withdrawn,)] = rows_of(past_night, "select version_id from recommendation_version where status = 'withdrawn'")
    approve(past_night, withdrawn, "the titles are right", "op")  # other tests run its night again


@pytest.mark.parametrize("hand_of", [MouseHand, KeyHand])
def test_a_newcomer_gets_through_with_a_mouse_and_by_keys_alone(
    topology: Topology, past_night: Settings, screen: Browser, hand_of: type[Hand], tmp_path: Path
) -> None:
    log_in(screen, topology, "op")
    hand = hand_of(screen)
    screen.open("/recommendations/")
    with hand.walk("see why a list is as it is"):
        hand.open("Products", shows="Find a product")
        hand.type("How words", "theme3")
        hand.send("Search", shows="theme3 kind3")
        hand.open("theme3 kind3", shows="The largest part of its score comes from")
    with hand.walk("compare two versions"):
        hand.choose("Beside", "2:")
        hand.open("Show", shows="Version 2, eclare")
    with hand.walk("block a pair"):
        hand.unfold("Parts and source")
        hand.open("Block", shows="The related product")
        hand.type("Reason", "sold out")
        hand.send("Block this pair", shows="Done: readers see")
    screen.open("/recommendations/")
    with hand.walk("roll back"):
        hand.open("Roll back", shows="a list now")
        hand.type("Reason", "odd titles")
        hand.send("Roll back", shows="Done: version 2")
    Path(os.environ.get("SCREENSHOTS", tmp_path), f"{hand_of.__name__}.json").write_text(json.dumps(hand.counted()))
    newest = "select action, product_id, related_product_id, actor, reason from pair_rule order by rule_id desc limit 1"
    ((action, *pair, actor, reason),) = rows_of(past_night, newest)
    assert (action, actor, reason) == ("block", "op", "sold out")
    move = rows_of(past_night, "select action, night, actor, reason from live_history order by change_id desc limit 1")
    assert move == [("rollback", PAST, "op", "odd titles")]
    set_pair_rule(past_night, PairRule(*pair, "none", "it is there again"), "op")
    approve(past_night, 1, "the titles are right", "op")
