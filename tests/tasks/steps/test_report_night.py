"""The page of a night: what became of it, in one file that loads nothing."""

import json
import re
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest
from matplotlib import rc_params_from_file
from matplotlib.colors import to_rgb

from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.rollback import approve
from tasks.report.page import STYLE
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.steps.report_night import PAGE, report_night
from tasks.stores.artefacts import Storage
from tasks.stores.database import Metric, store_metrics, transaction
from tests.nights import METRICS, OTHER, make_night, of_older_code, roll_back, with_lenient_gate
from tests.tasks.test_analysts import strict

TITLES = {
    "1": "<b>mug</b> & \"co\" <script>alert('1')</script>",
    "2": "red {{ plate }}",
    "3": "靴 Ünïcödé",
    "4": "plain",
}
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WITHOUT_RED_CONES = np.array(  # Machado, Oliveira, Fernandes, 2009
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
LOADING = {"src", "href", "srcset", "data", "action", "poster", "background"}
EPOCHS = [{"stage": "ranker", "epoch": number, "loss": 1 / number, "validation": None} for number in (1, 2, 3)]


class Page(HTMLParser):
    """Tags with their attributes, and the text of each kind of tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def count(self, tag: str, of_class: str = "") -> int:
        return sum(name == tag and of_class in (given.get("class") or "") for name, given in self.tags)


def said(page: Page, beginning: str) -> str:
    """The one text that begins so."""
    (text,) = [text for text in page.texts if text.startswith(beginning)]
    return text


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


def page_of(settings, night: Night) -> tuple[str, Page]:
    report_night(night, settings)
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(night.artefact("report"))) as folder:
        html = (folder / PAGE).read_text(encoding="utf-8")
    return html, Page(html)


def with_losses(settings, night: Night) -> None:
    """As train_model leaves them, but for the hash: the report reads what is there."""
    folder = of_older_code(night.artefact("model"), settings)
    (folder / "training.json").write_text(json.dumps(EPOCHS))


@pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)
def test_a_live_night_shows_verdicts_figures_losses_and_lists_before_and_after(settings):
    publish_recommendations(make_night("2017-06-29", settings, titles=TITLES), settings)
    night = make_night("2017-06-30", settings, OTHER, TITLES)
    publish_recommendations(night, settings)
    with_losses(settings, night)
    html, page = page_of(settings, night)
    assert said(page, "Became live at ") and not re.search(r"\bnow\b", " ".join(page.texts)), "it is read for years"
    assert page.count("svg") == 4
    assert "P@10, times co-click" in page.texts and "1.00" in page.texts
    assert page.count("span", "rejected") == 0
    rules = re.findall(r"<tr><td>(\w+)</td>", html)
    assert {"listed", "churn", "blocked", "row_count", "tail_recall"} <= set(rules)
    assert [text for text in page.texts if text == "publish"] == ["publish"]
    shown = html[html.index("Products before and after") :]
    assert re.findall(r'class="new">(.*?)<', shown) and re.findall(r'class="gone">(.*?)<', shown)
    assert "version of 2017-06-29" in page.texts
    assert "plain" in re.findall(r'class="new">(.*?)<', shown), "2017-06-30 brought 4 to the page of 1"
    assert "red {{ plate }}" in re.findall(r'class="gone">(.*?)<', shown)


def test_a_night_shows_its_rivals_with_intervals_the_best_one_and_what_its_lists_look_like(settings):
    night = make_night("2017-06-30", settings)
    rivals = {"cosine": 0.8, "popularity": 0.1, "eclare without model": 0.9}
    others = [Metric(system, "P", 10, value, "all", value - 0.05, value + 0.05) for system, value in rivals.items()]
    ratios = [Metric(f"eclare / {system}", "P", 10, 0.5 / value, "all", 0.4, 0.7) for system, value in rivals.items()]
    model = Storage(settings.storage_url).read(night.artefact("model"))
    store_metrics(night, model.hash, [*METRICS, *others, *ratios], settings)
    publish_recommendations(night, settings)
    html, page = page_of(settings, night)
    rows = re.findall(r"<tr[^>]*><td>([^<]+)<br>(.*?)</tr>", html[html.index("Held-out figures") :], re.DOTALL)
    cells = {name: re.sub(r"<[^>]*>|\s+", " ", row).split() for name, row in rows}
    assert list(cells)[:11] == [
        "eclare", "eclare by rules", "co-click by rules", "co-click", "cosine", "popularity", "eclare without model",
        "eclare / best rival", "eclare / without model", "by rules / co-click", "by rules / live",
    ]  # fmt: skip
    assert " ".join(cells["cosine"]).endswith("0.800 0.750 to 0.850 – –"), "it has P alone"
    assert "0.625" in cells["eclare / best rival"] and "cosine" in cells["eclare / best rival"], "0.5 over 0.8"
    assert "co-click" in cells["eclare / best rival"], "the best one at nDCG"
    assert "0.556" in cells["eclare / without model"]
    assert page.count("td", "worse") == 2
    assert "P@10, times cosine" in page.texts
    looks = dict(re.findall(r'<tr><td>([^<]+)</td><td class="number">(.*?)</td>', html[html.index("What a page") :]))
    assert looks["different products shown"] == "3" and looks["one title twice"] == "0.00%"
    assert looks["most shown product"] == "66.7%", "3 stands in two of three lists"
    by_product = html[html.index("by its product") : html.index("Verdicts of the gate")]
    rows = [
        re.sub(r"<[^>]*>|\s+", " ", row).split() for row in re.findall(r"<tr><td>(.*?)</tr>", by_product, re.DOTALL)
    ]
    assert [" ".join(row[:-6]) for row in rows] == ["no session", "5 to 19 sessions", "20 sessions and more"]
    assert rows[0][-6:] == ["1", "1", "2.0", "2", "100.0%", "100.0%"], "4 shows 3 and 2; 1 is the best seller"
    assert rows[1][-6:] == ["1", "0", "–", "–", "–", "–"], "3 has no list"
    assert rows[-1][-6:-3] == ["2", "2", "1.5"]


def test_samples_are_those_shown_most_and_some_of_each_segment(settings):
    related = {str(number): [str(number % 40 + 1)] for number in range(1, 41)} | {"2": ["9"], "40": ["9"]}
    night = make_night("2017-06-30", settings, related, {product: f"title {product}" for product in related})
    publish_recommendations(night, settings)
    html, _ = page_of(settings, night)
    samples = html[html.index("Products before and after") :]
    kinds = re.findall(r'<th class="by" colspan="3">(.*?)</th>', samples)
    assert kinds == ["shown most", "head", "torso", "tail", "cold"]
    assert samples.index("shown most</th>") < samples.index("<td>title 9<br>") < samples.index("head</th>")
    assert samples.index("head</th>") < samples.index("<td>title 1<br>") < samples.index("torso</th>")
    assert "40 sessions</small>" in samples
    with transaction(settings) as connection:
        connection.exec_driver_sql("update recommended_product set segment = null, sessions = null")
    assert re.findall(r'<th class="by" colspan="3">(.*?)</th>', page_of(settings, night)[0])[-1] == "drawn"


def test_titles_are_text_and_nothing_is_loaded(settings):
    night = make_night("2017-06-30", settings, titles=TITLES)
    publish_recommendations(night, settings)
    html, page = page_of(settings, night)
    assert TITLES["1"] in page.texts and TITLES["3"] in page.texts
    assert not {"script", "link", "iframe", "img", "b", "object", "base"} & {tag for tag, _ in page.tags}
    given = [(name, value) for _, attributes in page.tags for name, value in attributes.items()]
    assert all(value.startswith("#") for name, value in given if name.split(":")[-1] in LOADING and value)
    assert not re.search(r"url\((?!#)|@import", html)
    addresses = set(re.findall(r"https?://[^\"' >]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, "names of XML, never fetched"


def test_a_refused_night_shows_its_failed_rules_first(settings):
    publish_recommendations(make_night("2017-06-29", settings), settings)
    night = make_night("2017-06-30", settings, OTHER)
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(night, strict(settings))
    html, page = page_of(settings, night)
    live = rf"live then was the version of 2017-06-29, since {TIME}\."
    refused = rf"Refused by the gate at {TIME}, 1 of \d+ rules failed; {live}"
    assert re.fullmatch(refused, said(page, "Refused by the gate"))
    assert re.findall(r"<tr><td>(\w+)</td>", html)[0] == "churn"
    assert page.count("span", "rejected") == 2, "the night and the rule"
    approve(settings, 2, "the range <changed>", "Ada & Co")
    _, page = page_of(settings, night)
    assert said(page, "Became live at ").endswith(" UTC. A person let it pass the gate.")
    assert "Ada & Co" in page.texts and "the range <changed>" in page.texts
    roll_back(settings, "back")
    _, page = page_of(settings, night)
    assert re.fullmatch(
        rf"Withdrawn by a person at {TIME}; live then was the version of 2017-06-29, since {TIME}\.",
        said(page, "Withdrawn"),
    )
    _, page = page_of(settings, Night.of("2017-06-29", settings))
    assert re.fullmatch(rf"Became live at {TIME}\.", said(page, "Became live"))


def test_a_night_without_a_version_has_a_page_too(settings):
    night = Night.of("2017-06-30", settings)
    _, page = page_of(settings, night)
    assert "No version was made: a step before the gate failed; nothing was live then." in page.texts
    assert page.count("svg") == page.count("table") == 0
    publish_recommendations(make_night("2017-06-29", settings), settings)
    _, page = page_of(settings, night)
    failed = "No version was made: a step before the gate failed; live then was the version of 2017-06-29, since "
    assert said(page, failed)
    assert page.count("svg") > 0, "the nights before"


def test_figures_that_are_missing_are_left_out(settings):
    night = make_night("2017-06-30", settings, {"1": ["2"]})
    storage = Storage(settings.storage_url)
    store_metrics(night, storage.read(night.artefact("model")).hash, [Metric("eclare", "P", 10, 0.0)], settings)
    with pytest.raises(BadInput, match="baseline"):
        publish_recommendations(night, settings)
    _, page = page_of(settings, night)
    assert "–" in page.texts
    assert "P@10, times co-click" not in page.texts


def test_the_same_night_gives_the_same_page(settings):
    night = make_night("2017-06-30", settings)
    publish_recommendations(night, settings)
    assert page_of(settings, night)[0] == page_of(settings, night)[0]


@pytest.mark.parametrize("sees", [np.eye(3), WITHOUT_RED_CONES], ids=["all", "protanopia"])
def test_lines_are_told_apart_by_their_colours(sees):
    """A difference of 20 in CIELAB is seen at a glance; of two greens it was 4."""
    drawn = rc_params_from_file(STYLE, use_default_template=False)["axes.prop_cycle"].by_key()["color"]
    seen = [lab(sees @ linear(np.array(to_rgb(f"#{colour.lstrip('#')}")))) for colour in drawn]
    assert len(seen) >= 5, "as many as a chart has lines"
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)) > 20


def linear(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear sRGB, white D65."""
    xyz = SRGB_TO_XYZ @ np.clip(rgb, 0, 1) / SRGB_TO_XYZ.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_a_past_night_shows_no_later_ones(settings):
    for day in ("2017-06-30", "2017-06-28"):
        publish_recommendations(make_night(day, settings), settings)
    _, page = page_of(settings, Night.of("2017-06-28", settings))
    assert said(page, "Passed the gate at ").startswith("Passed the gate at 20"), "a past night displaces nothing"
    assert ", and did not become live; live then was the version of 2017-06-30, since " in said(page, "Passed the gate")
    assert report_night(Night.of("2017-06-28", settings), settings)["nights"] == 1
    assert report_night(Night.of("2017-06-30", settings), settings)["nights"] == 2
    with transaction(settings) as connection:
        assert connection.exec_driver_sql("select count(*) from live_version").scalar_one() == 1
