"""The live version's lists on a later night: what becomes of products and queries, and when they cannot be judged."""

import numpy as np
import pytest

from eclare.arrays.topk import PAD
from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.live_lists import FILE, Lists, live_lists, save_lists
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.artefacts import Storage
from tasks.stores.database import Metric, store_metrics
from tests.nights import METRICS, OTHER, RELATED, make_night, of_older_code, roll_back, rows_of, with_lenient_gate

IDS = np.array(["1", "2", "3", "4"])
KEPT = {"1": ["2", "3", "4"], "4": ["1", "2"]}


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


def evaluated(day: str, settings, related=RELATED, lists=KEPT) -> Night:
    """A night with the evaluation artefact that evaluate_model would leave; then published."""
    night, storage = make_night(day, settings, related), Storage(settings.storage_url)
    with storage.write(night.artefact("evaluation"), made_from=[storage.read(night.artefact("model"))]) as (folder, _):
        labels = np.array([[*(int(each) - 1 for each in row), *[PAD] * 3][:3] for row in lists.values()], np.int32)
        save_lists(Lists(np.array([int(query) - 1 for query in lists], np.int32), labels), IDS, night, folder)
    publish_recommendations(night, settings)
    return night


def judged(day: str, settings, ids=IDS, not_allowed=()) -> dict[str, list[str]] | str:
    found = live_lists(Night.of(day, settings), ids, ~np.isin(ids, not_allowed), settings)
    if isinstance(found, str):
        return found
    assert found.labels_QK.dtype == found.queries.dtype == np.int32
    return {
        str(ids[query]): [str(ids[label]) if label != PAD else "" for label in row]
        for query, row in zip(found.queries, found.labels_QK, strict=True)
    }


def test_they_come_back_by_product_in_another_catalogue(settings):
    evaluated("2017-06-29", settings)
    assert judged("2017-06-30", settings) == {"1": ["2", "3", "4"], "4": ["1", "2", ""]}
    assert judged("2017-06-30", settings, IDS[::-1]) == {"4": ["1", "2", ""], "1": ["2", "3", "4"]}


def test_what_the_catalogue_lacks_or_does_not_sell_now_is_left_out_and_the_rest_moves_up(settings):
    evaluated("2017-06-29", settings)
    assert judged("2017-06-30", settings, np.array(["1", "3", "4", "5"])) == {"1": ["3", "4", ""], "4": ["1", "", ""]}
    assert judged("2017-06-30", settings, not_allowed=["3"]) == {"1": ["2", "4", ""], "4": ["1", "2", ""]}
    assert judged("2017-06-30", settings, np.array(["2", "3"])) == {}, "queries that it lacks are left out"


def test_a_version_that_knows_days_that_are_judged_on_is_not_compared(settings):
    evaluated("2017-06-30", settings)
    assert judged("2017-06-30", settings) == {"1": ["2", "3", "4"], "4": ["1", "2", ""]}
    assert "knows the clicks before 2017-06-24, among them days that night 2017-06-29" in judged("2017-06-29", settings)
    fewer = settings.model_copy(update={"held_out_days": 3})
    assert isinstance(judged("2017-06-29", fewer), dict), "with another cut they know none of them"


def test_after_a_rollback_it_is_the_older_version_that_is_compared(settings):
    for day, related, lists in (("2017-06-28", RELATED, KEPT), ("2017-06-29", OTHER, {"2": ["3"]})):
        evaluated(day, settings, related, lists)
    assert judged("2017-06-30", settings) == {"2": ["3", "", ""]}
    roll_back(settings, "odd")
    assert judged("2017-06-30", settings) == {"1": ["2", "3", "4"], "4": ["1", "2", ""]}


def test_why_there_is_nothing_to_compare_is_said_in_words(settings):
    assert judged("2017-06-30", settings) == "no version is live"
    night = evaluated("2017-06-29", settings)
    file = of_older_code(night.artefact("evaluation"), settings) / FILE
    file.rename(file.with_name("other.npz"))
    assert "2017-06-29 is of older code and holds no lists" in judged("2017-06-30", settings)
    Storage(settings.storage_url).remove(night.artefact("evaluation"))
    assert "2017-06-29 cannot be read: nights/night=2017-06-29/evaluation is not in" in judged("2017-06-30", settings)
    make_night("2017-06-29", settings, OTHER)
    storage = Storage(settings.storage_url)
    with storage.write(night.artefact("evaluation"), made_from=[storage.read(night.artefact("model"))]):
        pass
    assert "of another model than the one that is live" in judged("2017-06-30", settings)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("2017-06-29", "2017-06-30", "the live version had no lists to judge on this night's held-out days"),
        ("2017-06-30", "2017-06-29", "the live version, of 2017-06-30, knows days that this night is judged on"),
    ],
)
def test_a_night_that_was_not_judged_beside_live_passes_these_rules_and_says_why(settings, first, second, why):
    published = {}
    for day in (first, second):
        night = make_night(day, settings)
        model = Storage(settings.storage_url).read(night.artefact("model"))
        store_metrics(night, model.hash, [each for each in METRICS if "live" not in each.system], settings)
        published[day] = publish_recommendations(night, settings)
    query = "select passed, value, reason from gate_verdict where version_id = :id and rule like 'live%'"
    verdicts = rows_of(settings, query, id=published[second]["version"])
    assert len(verdicts) == 4
    for passed, value, reason in verdicts:
        assert passed and value is None and reason.startswith(f"nothing to compare with: {why}")


def test_a_night_that_is_worse_than_live_beyond_chance_is_refused(settings):
    publish_recommendations(make_night("2017-06-29", settings), settings)
    night = make_night("2017-06-30", settings)
    model = Storage(settings.storage_url).read(night.artefact("model"))
    beside = [
        Metric("eclare by rules / live", name, 10, 0.6, "all", 0.5, high)
        for name, high in (("P", 0.71), ("lift", 0.69))
    ]
    others = [each for each in METRICS if (each.system, each.metric) != ("eclare by rules / live", "P")]
    store_metrics(night, model.hash, [*others, *beside], settings)
    with pytest.raises(BadInput, match=r"must pass the gate .*, but live_lift: must be at least 0\.7, is 0\.69; what"):
        publish_recommendations(night, settings)
