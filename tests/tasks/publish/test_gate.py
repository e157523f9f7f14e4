"""The gate: what passes, what never does, and one table of rules for code, SQL and documents."""

import math
import random
import re
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings

from eclare.evaluation.lists import list_figures
from eclare.related.recommendations import Recommendations
from tasks.errors import BadInput
from tasks.publish.gate import RULES, GateConfig, broken, broken_zero_rules, in_words, judge, read_gate
from tasks.publish.measurements import (
    even_page,
    measure_catalogue,
    measure_change,
    measure_clicked,
    measure_inputs,
    measure_metrics,
    measure_page,
    measure_rows,
    measure_withdrawn,
)
from tasks.settings import ROOT, Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tests.nights import RELATED, TITLES, make_night, recommendations_of, rows_of, with_lenient_gate

ZERO_RULES = ("itself", "repeated", "blocked", "out_of_stock", "unknown")
COMPARED_WITH_LISTS = ("live_precision", "live_psp", "live_ndcg", "live_lift")
COMPARED_WITH_LIVE = (*COMPARED_WITH_LISTS, "churn", "rank_biased_overlap", "catalogue_size", "clicked_listed")
COMPARED_WITH_BASELINE = ("baseline_precision", "baseline_psp", "baseline_ndcg", "tail_recall")
WARNINGS = ("missing_days", "day_rows", "refused", "refused_rise", "outside_catalogue")
DEFAULTS = {
    **dict.fromkeys(ZERO_RULES, ("at most", 0)), "withdrawn": ("at most", 0), "row_count": ("at least", 1),
    "listed": ("at least", 0.5),
    "most_shown": ("at most", 0.1), "ten_most_shown": ("at most", 0.25), "shown": ("at least", 0.25),
    "title_twice": ("at most", 0), **dict.fromkeys(COMPARED_WITH_LISTS, ("at least", 0.7)),
    **dict.fromkeys(COMPARED_WITH_BASELINE[:3], ("at least", 0.8)), "tail_recall": ("at least", 0.7),
    "churn": ("at most", 0.9), "rank_biased_overlap": ("at least", 0.05), "precision": ("at least", 0.001),
    "catalogue_size": ("at least", 0.8), "clicked_listed": ("at least", 0.9), "missing_days": ("at most", 0),
    "day_rows": ("at least", 0.5), "refused": ("at most", 0.2), "refused_rise": ("at most", 0.05),
    "outside_catalogue": ("at most", 0.3),
}  # fmt: skip
GOOD = dict.fromkeys(ZERO_RULES, 0.0) | {
    "withdrawn": 0.0, "row_count": 1000.0, "listed": 0.9, "most_shown": 0.03, "ten_most_shown": 0.1, "shown": 0.7,
    "title_twice": 0.0,
    "live_precision": 1.0, "live_psp": 1.0, "live_ndcg": 1.0, "live_lift": 1.0, "precision": 0.1,
    "baseline_precision": 1.1, "baseline_psp": 1.1, "baseline_ndcg": 1.1, "tail_recall": 1.2, "churn": 0.4,
    "rank_biased_overlap": 0.5, "catalogue_size": 1.01, "clicked_listed": 0.99, "missing_days": 0.0, "day_rows": 0.9,
    "refused": 0.01, "refused_rise": 0.0, "outside_catalogue": 0.05,
}  # fmt: skip
CLICKED = pa.table({"product_id": ["1", "5"], "sessions": [3, 1]})
ODD_VALUES = [None, math.nan, math.inf, -math.inf, 0, 0.0, -0.0, -1, 1, 10**30, -(10**30), 5e-324]
ANY_VALUE = strategies.none() | strategies.floats() | strategies.integers(-(10**30), 10**30)
THRESHOLDS = {
    rule.name: strategies.floats(rule.lowest, min(rule.highest, rule.lowest + 1))
    for rule in RULES
    if not rule.is_zero_rule
}


@pytest.fixture(autouse=True)
def few_products_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.publish.measurements.POINTS_AT_ONCE", 3)


def failed(measured: dict, *, has_live: bool = True) -> list[str]:
    return [verdict.rule for verdict in judge(measured, GateConfig(), has_live=has_live) if not verdict.passed]


def test_the_table_has_these_rules_bounds_thresholds_and_comparisons():
    assert {rule.name: (rule.bound, rule.threshold) for rule in RULES} == DEFAULTS
    assert [rule.name for rule in RULES] == list(GOOD)
    assert tuple(rule.name for rule in RULES if rule.is_zero_rule) == ZERO_RULES
    assert tuple(rule.name for rule in RULES if rule.compared_with.startswith("live")) == COMPARED_WITH_LIVE
    assert tuple(rule.name for rule in RULES if rule.level == "warn") == WARNINGS
    assert tuple(rule.name for rule in RULES if rule.compared_with == "live lists") == COMPARED_WITH_LISTS
    assert tuple(rule.name for rule in RULES if rule.compared_with == "baseline") == COMPARED_WITH_BASELINE
    defaults = {rule.name: rule.threshold for rule in RULES if not rule.is_zero_rule}
    assert all(GateConfig(defaults).threshold(rule) == rule.threshold for rule in RULES), "each lies in its own range"


def test_a_good_version_passes_every_rule():
    verdicts = judge(GOOD, GateConfig(), has_live=True)
    assert [(verdict.rule, verdict.passed) for verdict in verdicts] == [(rule, True) for rule in GOOD]
    assert {verdict.rule: (verdict.bound, verdict.threshold) for verdict in verdicts} == DEFAULTS


@pytest.mark.parametrize("rule", GOOD)
def test_each_rule_fails_alone(rule):
    bound, threshold = DEFAULTS[rule]
    worse = 1e9 if bound == "at most" else 0.0
    assert failed(GOOD | {rule: worse}) == [rule]
    sentence = f"{rule}: must be {bound} {threshold:g}, is {worse:.10g}"
    verdicts = judge(GOOD | {rule: worse}, GateConfig(), has_live=True)
    level, other = ("warn", "stop") if rule in WARNINGS else ("stop", "warn")
    assert (in_words(broken(verdicts, level)), broken(verdicts, other)) == (sentence, [])


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("rule", GOOD)
def test_what_is_no_figure_fails(rule, value):
    assert failed(GOOD | {rule: value}) == [rule]


def test_without_a_live_version_only_what_is_compared_with_it_passes():
    compared = dict.fromkeys(COMPARED_WITH_LIVE)
    assert failed(GOOD | compared, has_live=False) == []
    assert failed(compared, has_live=False) == [rule for rule in GOOD if rule not in COMPARED_WITH_LIVE]


def test_where_the_live_lists_could_not_be_judged_their_rules_pass_and_say_why():
    unmeasured = GOOD | dict.fromkeys(COMPARED_WITH_LISTS)
    why_not = dict.fromkeys(COMPARED_WITH_LISTS, "they are gone")
    verdicts = judge(unmeasured, GateConfig(), has_live=True, why_not=why_not)
    assert all(verdict.passed for verdict in verdicts)
    said = {verdict.rule: (verdict.value, verdict.reason) for verdict in verdicts if verdict.value is None}
    assert said == dict.fromkeys(COMPARED_WITH_LISTS, (None, "nothing to compare with: they are gone"))
    worse = judge(GOOD | {"live_lift": 0.6}, GateConfig(), has_live=True, why_not=why_not)
    assert [verdict.rule for verdict in worse if not verdict.passed] == ["live_lift"], "what was judged is judged"
    others = judge(unmeasured | {"churn": None}, GateConfig(), has_live=True, why_not=why_not)
    assert [verdict.rule for verdict in others if not verdict.passed] == ["churn"]


@given(
    measured=strategies.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, ANY_VALUE)),
    has_live=strategies.booleans(),
    thresholds=strategies.fixed_dictionaries({}, optional=THRESHOLDS),
)
@hypothesis_settings(max_examples=300)
def test_no_input_passes_a_broken_zero_rule_or_crashes(measured, has_live, thresholds):
    check_each_verdict(measured, has_live, thresholds)


def test_none_of_ten_thousand_drawn_near_the_thresholds_does_either():
    """Hypothesis takes 60 times as long for as many."""
    chance = random.Random(0)
    for _ in range(10_000):
        thresholds = {
            rule.name: min(rule.highest, rule.lowest + chance.random())
            for rule in RULES
            if not rule.is_zero_rule and chance.random() < 0.5
        }
        measured = {
            name: chance.choice([*ODD_VALUES, *near(thresholds.get(name, DEFAULTS[name][1])), *anywhere(chance)])
            for name in GOOD if chance.random() < 0.9
        }  # fmt: skip
        check_each_verdict(measured, chance.random() < 0.5, thresholds)


def near(threshold: float) -> tuple[float, ...]:
    return threshold, math.nextafter(threshold, math.inf), math.nextafter(threshold, -math.inf)


def anywhere(chance: random.Random) -> tuple[float, ...]:
    """Between thresholds, any double at all, any integer that hypothesis would draw."""
    any_double = struct.unpack("d", chance.randbytes(8))[0]
    return chance.uniform(-1, 2), any_double, chance.randint(-(10**30), 10**30)


def check_each_verdict(measured, has_live, thresholds):
    """Against each rule said again in other words."""
    verdicts = judge(measured, GateConfig(thresholds), has_live=has_live)
    broken = [rule for rule in ZERO_RULES if measured.get(rule) != 0]
    assert broken_zero_rules(measured) == broken
    assert [verdict.rule for verdict in verdicts if verdict.rule in ZERO_RULES and not verdict.passed] == broken
    for verdict in verdicts:
        assert (verdict.bound, verdict.threshold) == (
            DEFAULTS[verdict.rule][0], thresholds.get(verdict.rule, DEFAULTS[verdict.rule][1])
        )  # fmt: skip
        value = measured.get(verdict.rule)
        skipped = verdict.rule in COMPARED_WITH_LIVE and not has_live
        number = value is not None and math.isfinite(value) and value >= 0
        inside = number and (value >= verdict.threshold if verdict.bound == "at least" else value <= verdict.threshold)
        assert verdict.passed == (skipped or inside)


def test_thresholds_come_from_one_file_that_names_only_what_it_changes(settings: Settings, tmp_path):
    assert read_gate(settings) == GateConfig()
    file = tmp_path / "gate.json"
    file.write_text('{"churn": 0.25}')
    gate = read_gate(settings.model_copy(update={"gate_config": file}))
    changed = {rule.name: gate.threshold(rule) for rule in RULES if gate.threshold(rule) != rule.threshold}
    assert changed == {"churn": 0.25}


@pytest.mark.parametrize(
    ("changed", "thresholds"),
    [
        ({"goal": "basket"}, {"most_shown": 1, "ten_most_shown": 1, "shown": 0}),
        ({"goal": "basket", "max_exposure": 0.05}, {}),
        ({"max_exposure": 0.2}, {"most_shown": 0.2}),
        ({"max_exposure": 0.5}, {"most_shown": 0.5, "ten_most_shown": 0.5}),
    ],
)
def test_the_page_may_show_what_lists_may_unless_the_file_says_otherwise(
    settings: Settings, tmp_path, changed, thresholds
) -> None:
    settings = settings.model_copy(update=changed)
    gate = read_gate(settings)
    assert {rule.name: gate.threshold(rule) for rule in RULES if gate.threshold(rule) != rule.threshold} == thresholds
    file = tmp_path / "gate.json"
    file.write_text('{"most_shown": 0.07}')
    given = read_gate(settings.model_copy(update={"gate_config": file}))
    assert given.root == thresholds | {"most_shown": 0.07}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Invalid JSON"), ("{", "Invalid JSON"), ("[]", "should be an object"), ('{"chrun": 1}', "got chrun"),
        ('{"churn": NaN}', "got nan"), ('{"live_psp": Infinity}', "got inf"), ('{"churn": 2}', "from 0 to 1, got 2"),
        ('{"score_drift": 3}', "score_drift is no rule any more, .*: give rank_biased_overlap"),
        ('{"coverage": 0.5}', "coverage is no rule any more, .* rule `listed`: rename it in the file"),
        ('{"row_count": 0}', "from 1 to inf, got 0"), ('{"shown": -1}', "got -1"), ('{"blocked": 5}', "got blocked"),
        ('{"full": 0}', "full is no rule any more, a list may be short.*`listed`.*`shown`.*take it out of the file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_meant_is_refused(settings: Settings, tmp_path, content, message):
    file = tmp_path / "gate.json"
    file.write_text(content)
    with pytest.raises(BadInput, match=f"(?s)GATE_CONFIG must name a JSON file.*{message}"):
        read_gate(settings.model_copy(update={"gate_config": file}))


def test_every_rule_is_measured_and_nothing_else(settings: Settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    version = int(publish_recommendations(make_night("2017-06-30", settings), settings)["version"])
    ((night, model_hash),) = rows_of(settings, "select night, model_hash from recommendation_version")
    with transaction(settings) as connection:
        metrics = measure_metrics(connection, night, model_hash).values
        change = measure_change(connection, version)
        clicked = measure_clicked(connection, version, CLICKED).values
        ledger = measure_inputs(connection, night, "a build").values
        history = measure_withdrawn(connection, night, version).values
    size = measure_catalogue(4, None).values
    recommendations, catalogue = recommendations_of(RELATED, list(RELATED)), catalogue_of(RELATED)
    rows, page = measure_rows(recommendations, catalogue), measure_page(figures_of(recommendations))
    by_comparison = {
        "nothing": {*rows, *page, *history, "precision"},
        "baseline": set(),
        "live": {*change, *clicked, *size},
        "ledger": set(ledger),
        "live lists": set(),
    }
    for name in metrics.keys() - {"precision"}:
        by_comparison["live lists" if name.startswith("live_") else "baseline"].add(name)
    for comparison, names in by_comparison.items():
        assert names == {rule.name for rule in RULES if rule.compared_with == comparison}
    measured = [rows, page, metrics, change, clicked, ledger, history, size]
    assert sum(map(len, measured)) == len(RULES), "each is measured once"
    assert set(even_page(recommendations, catalogue, 4)) < set(page)


LISTS = (
    {"1": ["2", "3", "4"], "2": ["1"], "3": ["4", "1"], "4": []},
    {"1": ["3", "2"], "2": ["1"], "3": [], "4": ["1"]},
)


def test_the_overlap_with_live_is_rank_biased(settings: Settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    for day, related in zip((28, 29, 30), (LISTS[0], LISTS[0], LISTS[1]), strict=True):
        publish_recommendations(make_night(f"2017-06-{day}", settings, related, day_titles(day)), settings)
    query = "select value from gate_verdict where rule = 'rank_biased_overlap' order by version_id"
    in_both = [(LISTS[0][product], LISTS[1][product]) for product in "12"]
    common, live, tonight = (sum(map(overlap, *zip(*pairs, strict=True))) for pairs in (
        in_both, [(before, before) for before, _ in in_both], [(now, now) for _, now in in_both]
    ))  # fmt: skip
    assert rows_of(settings, query) == [(None,), (1,), (pytest.approx(2 * common / (live + tonight)),)]


def day_titles(day: int) -> dict[str, str]:
    return {product: f"{product} of {day}" for product in "1234"}


def overlap(one: list[str], other: list[str]) -> float:
    """Slowly: the share of the first d that both have, at every depth d, weighted."""
    return sum(0.9 ** (d - 1) * len({*one[:d]} & {*other[:d]}) / d for d in range(1, 11))


def catalogue_of(products):
    size = len(products)
    titles = [f"title {product}" for product in products]
    allowed = {"in_stock": [True] * size, "blocked": [False] * size}
    return pa.table({"product_id": list(products), "title": titles, **allowed})


def figures_of(made: Recommendations):
    labels = len(made.label_ids_L)
    return list_figures(made.labels_NK, np.ones(labels), np.ones(labels, bool), np.arange(labels, dtype=np.int32))


def test_the_page_is_what_the_lists_were_measured_to_be():
    related = {"a": ["b", "c"], "b": ["a", "c"], "c": [], "d": ["c"]}
    measured = measure_page(figures_of(recommendations_of(related, list(related))))
    assert measured == pytest.approx({"most_shown": 1, "ten_most_shown": 1, "shown": 0.75, "title_twice": 0})


def test_an_even_page_shows_all_products_alike():
    """Two places in three lists among four products: each stands in one list or two."""
    related = {"a": ["b", "c"], "b": ["a", "c"], "c": [], "d": ["c", "a"]}
    recommendations, catalogue = recommendations_of(related, list(related)), catalogue_of(related)
    assert even_page(recommendations, catalogue, 8) == {"most_shown": 2 / 3, "ten_most_shown": 1, "shown": 0.5}
    blocked = catalogue.set_column(3, "blocked", pa.array([True, True, True, False]))
    assert even_page(recommendations, blocked, 0)["most_shown"] == 1
    assert even_page(recommendations_of({key: [] for key in related}, list(related)), catalogue, 4)["shown"] == 0


@pytest.mark.parametrize(
    ("even", "rule", "value", "passes"),
    [
        (0.3, "most_shown", 0.6, True), (0.3, "most_shown", 0.61, False), (0.02, "most_shown", 0.11, False),
        (0.9, "most_shown", 1, True), (0.2, "ten_most_shown", 0.4, True), (0.1, "ten_most_shown", 0.26, False),
        (0.2, "shown", 0.1, True), (0.2, "shown", 0.09, False), (1, "shown", 0.24, False),
    ],
)  # fmt: skip
def test_where_products_are_few_a_rule_asks_for_twice_what_an_even_table_has(even, rule, value, passes):
    verdicts = judge(GOOD | {rule: value}, GateConfig(), has_live=True, even={rule: even})
    assert [verdict.rule for verdict in verdicts if not verdict.passed] == ([] if passes else [rule])


@given(products=strategies.integers(2, 60), k=strategies.integers(1, 20), seed=strategies.integers(0, 1000))
@hypothesis_settings(max_examples=100)
def test_an_even_table_passes_the_page_however_small_the_shop(products, k, seed):
    """List p holds the products after it, in a random order of the shop."""
    order, width = np.random.default_rng(seed).permutation(products), min(k, products - 1)
    places = (np.arange(products)[:, None] + np.arange(1, width + 1)) % products
    ids = np.array([f"P{number}" for number in order])
    scores, sources = np.zeros(places.shape, np.float32), np.zeros(places.shape, np.int8)
    made = Recommendations(places.astype(np.int32), scores, sources, ids, ids)
    measured = measure_page(figures_of(made))
    even = even_page(made, catalogue_of(ids.tolist()), products)
    verdicts = judge(GOOD | measured, GateConfig(), has_live=True, even=even)
    assert all(verdict.passed for verdict in verdicts)


def test_a_page_with_one_title_twice_is_refused_and_one_of_few_products_is_not(settings: Settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    publish_recommendations(make_night("2017-06-29", settings), settings)
    used = "select threshold, value from gate_history where rule = 'most_shown'"
    ((threshold, value),) = rows_of(settings, used)
    assert threshold == 1 and value == pytest.approx(2 / 3), (
        "two products stand in two of three lists, where an even table has two as well"
    )
    twice = make_night("2017-06-30", settings, titles=TITLES | {"2": "Plain", "3": "plain "})
    with pytest.raises(BadInput, match=r"but title_twice: must be at most 0, is 0\.6666"):
        publish_recommendations(twice, settings)


def test_lists_without_their_figures_are_refused(settings: Settings):
    night = make_night("2017-06-30", settings)
    storage = Storage(settings.storage_url)
    inputs = [storage.read(night.artefact(name)) for name in ("interactions", "model")]
    with storage.write(night.artefact("recommendations"), made_from=inputs) as (folder, _):
        recommendations_of(RELATED, list(RELATED)).save(folder)
    with pytest.raises(BadInput, match=r"lists\.json must hold.*run recommend_products --night 2017-06-30 again"):
        publish_recommendations(night, settings)


def test_lists_of_older_code_are_refused(settings: Settings):
    night = make_night("2017-06-30", settings)
    storage = Storage(settings.storage_url)
    inputs = [storage.read(night.artefact(name)) for name in ("interactions", "model")]
    with storage.write(night.artefact("recommendations"), made_from=inputs) as (folder, _):
        np.savez(folder / "recommendations.npz", labels=[], scores=[], sources=[], point_ids=["a"], label_ids=["a"])
    with pytest.raises(BadInput, match=r"must hold point_ids_bytes.*run recommend_products --night 2017-06-30 again"):
        publish_recommendations(night, settings)


def test_sql_and_documents_name_the_rules_of_the_table():
    names = {rule.name for rule in RULES}
    quoted = set()
    for file in ("report_gate_measurements", "prometheus_metrics"):
        text = (ROOT / "sql" / "queries" / f"{file}.sql").read_text()
        for listed in re.findall(r"rule (?:in \(|= )([^\n)]+)", text):
            quoted |= set(re.findall(r"'(\w+)'", listed))
    assert quoted == {"listed", "shown", "most_shown", "ten_most_shown", "churn"}
    assert quoted <= names
    runbook = (ROOT / "docs" / "operators.md").read_text()
    section = runbook[runbook.index("## The gate refused a night") : runbook.index("## A bad night is live")]
    ticked = re.findall(r"`(\w+)(\.\.\.)?`", section)
    covered = {name for name in names for start, more in ticked if name == start or (more and name.startswith(start))}
    assert covered == names, "the runbook says what to do about every rule"
    listed = re.search(r"broke a zero rule \(([\w\s,]+)\)", (ROOT / "dags" / "approve_version.py").read_text())[1]
    assert {name.strip().replace(" ", "_") for name in listed.replace("\n", " ").split(",")} == set(ZERO_RULES)
