"""The gate's rules: what passes, what never does, whatever the figures."""

import math

import pytest
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings

from tasks.errors import BadInput
from tasks.publish.gate import NO_COMPARISON, ZERO_RULES, GateConfig, breaks_a_zero_rule, judge, read_gate, refusals
from tasks.settings import Settings

GOOD = dict.fromkeys(ZERO_RULES, 0.0) | {
    "row_count": 1000.0, "coverage": 0.9, "full": 0.9, "live_precision": 1.0, "live_psp": 1.0, "live_ndcg": 1.0,
    "baseline_precision": 1.1, "baseline_psp": 1.1, "baseline_ndcg": 1.1, "tail_recall": 1.2, "churn": 0.4,
    "score_drift": 0.1,
}  # fmt: skip
ANY_FACT = strategies.none() | strategies.floats() | strategies.integers(-(10**30), 10**30)


def failed(facts: dict, **options: bool) -> list[str]:
    return [
        verdict.rule for verdict in judge(facts, GateConfig(), **({"has_live": True} | options)) if not verdict.passed
    ]


def test_a_good_version_passes_every_rule_and_every_threshold_has_one():
    verdicts = judge(GOOD, GateConfig(), has_live=True)
    assert all(verdict.passed for verdict in verdicts)
    assert [verdict.rule for verdict in verdicts] == [*ZERO_RULES, *GateConfig.model_fields]


@pytest.mark.parametrize("rule", GOOD)
def test_each_rule_fails_alone(rule):
    worse = 1e9 if rule in (*ZERO_RULES, "churn", "score_drift") else 0.0
    assert failed(GOOD | {rule: worse}) == [rule]
    assert f"{rule}: must be at " in refusals(judge(GOOD | {rule: worse}, GateConfig(), has_live=True))


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("rule", GOOD)
def test_what_is_no_figure_fails(rule, value):
    assert failed(GOOD | {rule: value}) == [rule]


def test_without_a_live_version_only_what_is_compared_with_it_passes():
    compared = dict.fromkeys(NO_COMPARISON)
    assert failed(GOOD | compared, has_live=False) == []
    assert failed(compared, has_live=False) == [rule for rule in GOOD if rule not in NO_COMPARISON]


@given(
    facts=strategies.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, ANY_FACT)),
    has_live=strategies.booleans(),
    thresholds=strategies.fixed_dictionaries(
        {}, optional={rule: strategies.floats(0, 1) for rule in GateConfig.model_fields if rule != "row_count"}
    ),
)
@hypothesis_settings(max_examples=10_000, deadline=None)
def test_no_input_passes_a_broken_zero_rule_or_crashes(facts, has_live, thresholds):
    config = GateConfig(**thresholds)
    verdicts = judge(facts, config, has_live=has_live)
    assert breaks_a_zero_rule(verdicts) == any(facts.get(rule) != 0 for rule in ZERO_RULES)
    for verdict in verdicts:
        value = facts.get(verdict.rule)
        skipped = verdict.rule in NO_COMPARISON and not has_live
        number = value is not None and math.isfinite(value) and value >= 0
        inside = number and (value >= verdict.threshold if verdict.bound == "at least" else value <= verdict.threshold)
        assert verdict.passed == (skipped or inside)


def test_thresholds_come_from_one_file(settings: Settings, tmp_path):
    assert read_gate(settings) == GateConfig()
    file = tmp_path / "gate.json"
    file.write_text('{"churn": 0.25}')
    assert read_gate(settings.model_copy(update={"gate_config": file})) == GateConfig(churn=0.25)


@pytest.mark.parametrize("content", ["", "{", '{"chrun": 1}', '{"churn": NaN}', '{"churn": 2}', '{"blocked": 5}'])
def test_a_file_that_cannot_be_meant_is_refused(settings: Settings, tmp_path, content):
    file = tmp_path / "gate.json"
    file.write_text(content)
    with pytest.raises(BadInput, match="GATE_CONFIG must name a JSON file"):
        read_gate(settings.model_copy(update={"gate_config": file}))
