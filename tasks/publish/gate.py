"""The gate: one table of the rules that tonight's version must pass before readers see it."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, Self

from pydantic import ConfigDict, RootModel, ValidationError, model_validator

from tasks.errors import BadInput
from tasks.settings import Settings

Bound = Literal["at least", "at most"]
Level = Literal["stop", "warn"]


class Rule(NamedTuple):
    """One rule: a measurement, and the threshold that bounds it unless GATE_CONFIG gives another.

    compared_with: what else the measurement needs; without a live version, rules that compare with it pass, and any
    where it is known why there is nothing to compare with. With the baseline and the live lists, the upper end of a
    ratio's 95% interval is judged: a rule refuses what is worse beyond chance.
    is_zero_rule: the threshold is 0 for good, and rows that break the rule are never stored.
    lowest, highest: the thresholds that GATE_CONFIG may give.
    level: whether a version that breaks the rule is refused, or passes and somebody should look.
    """

    name: str
    bound: Bound
    threshold: float
    compared_with: Literal["nothing", "live", "live lists", "baseline", "ledger"]
    is_zero_rule: bool
    sentence: str
    lowest: float = 0.0
    highest: float = math.inf
    level: Level = "stop"


SHARE: tuple[float, float] = (0, 1)

RULES = (
    Rule("itself", "at most", 0, "nothing", True, "rows that show a product on its own page"),
    Rule("repeated", "at most", 0, "nothing", True, "related products that a list holds already"),
    Rule("blocked", "at most", 0, "nothing", True, "rows with a related product that the catalogue blocks"),
    Rule("out_of_stock", "at most", 0, "nothing", True, "rows with a related product that is out of stock"),
    Rule("unknown", "at most", 0, "nothing", True, "rows with a product that the catalogue lacks"),
    Rule("withdrawn", "at most", 0, "nothing", False, "versions of the night that somebody withdrew", 0, 0),
    Rule("row_count", "at least", 1, "nothing", False, "rows", 1),
    Rule("listed", "at least", 0.5, "nothing", False, "share of the catalogue that has a list", *SHARE),
    Rule("most_shown", "at most", 0.1, "nothing", False, "share of lists with the most shown product", *SHARE),
    Rule("ten_most_shown", "at most", 0.25, "nothing", False, "share of first-10 places of the ten most shown", *SHARE),
    Rule("shown", "at least", 0.25, "nothing", False, "different products shown over products with a session", *SHARE),
    Rule("title_twice", "at most", 0, "nothing", False, "share of lists with one title twice", *SHARE),
    Rule("live_precision", "at least", 0.7, "live lists", False, "held-out P@10 over live's, its 95% upper end"),
    Rule("live_psp", "at least", 0.7, "live lists", False, "held-out PSP@10 over live's, its 95% upper end"),
    Rule("live_ndcg", "at least", 0.7, "live lists", False, "held-out nDCG@10 over live's, its 95% upper end"),
    Rule("live_lift", "at least", 0.7, "live lists", False, "held-out lift@10 over live's, its 95% upper end"),
    Rule("precision", "at least", 0.001, "nothing", False, "held-out P@10, whatever the others have", *SHARE),
    Rule("baseline_precision", "at least", 0.8, "baseline", False, "held-out P@10 over co-clicks', its 95% upper end"),
    Rule("baseline_psp", "at least", 0.8, "baseline", False, "held-out PSP@10 over co-clicks', its 95% upper end"),
    Rule("baseline_ndcg", "at least", 0.8, "baseline", False, "held-out nDCG@10 over co-clicks', its 95% upper end"),
    Rule("tail_recall", "at least", 0.7, "baseline", False, "recall@10 of the tail over co-clicks', its 95% upper end"),
    Rule("churn", "at most", 0.9, "live", False, "share of the first 10 that the live version lacks", *SHARE),
    Rule(
        "rank_biased_overlap",
        "at least",
        0.05,
        "live",
        False,
        "overlap of the first 10 with the live version's",
        *SHARE,
    ),
    Rule("catalogue_size", "at least", 0.8, "live", False, "products in the catalogue over the live version's"),
    Rule("clicked_listed", "at least", 0.9, "live", False, "share of clicked products with a list, over live's"),
    Rule("missing_days", "at most", 0, "ledger", False, "days of the window that the night did not see", level="warn"),
    Rule("day_rows", "at least", 0.5, "ledger", False, "the day's rows by its weekday's median", *SHARE, level="warn"),
    Rule("refused", "at most", 0.2, "ledger", False, "share of the day's rows that were refused", *SHARE, level="warn"),
    Rule("refused_rise", "at most", 0.05, "ledger", False, "that share over its median", *SHARE, level="warn"),
    Rule("outside_catalogue", "at most", 0.3, "ledger", False, "share of clicks outside it", *SHARE, level="warn"),
)
REMOVED = {  # names of older code
    "coverage": "coverage is the share of the catalogue that is ever shown (table metric), and the share that has a "
    "list is the rule `listed`: rename it in the file",
    "score_drift": "the scores of two models have no zero in common and only their order can be compared: give "
    "rank_biased_overlap (a share from 0 to 1, at least) instead",
    "full": "a list may be short, since one filled with what sells everywhere is no better: `listed` says how many "
    "products have a list, `shown` how many are shown; take it out of the file",
}
WORSE_THAN_EVEN = 2  # how much worse than an even table may be, where an even one is near a threshold


class GateConfig(RootModel[dict[str, float]]):
    """Thresholds by name of rule, from the JSON file GATE_CONFIG; what it leaves out is as in RULES.

    Raises pydantic.ValidationError for a name that is no rule any more (with what replaced it) or never was, a zero
    rule and a threshold out of the rule's range.
    """

    model_config = ConfigDict(frozen=True)

    root: dict[str, float] = {}

    @model_validator(mode="after")
    def _thresholds_are_of_rules(self) -> Self:
        known = {rule.name: rule for rule in RULES if not rule.is_zero_rule}
        for name, threshold in self.root.items():
            if name in REMOVED:
                raise ValueError(f"{name} is no rule any more, {REMOVED[name]}")
            if name not in known:
                raise ValueError(f"thresholds must be of {', '.join(known)}, got {name}")
            lowest, highest = known[name].lowest, known[name].highest
            if not (math.isfinite(threshold) and lowest <= threshold <= highest):
                raise ValueError(f"{name} must be a number from {lowest:g} to {highest:g}, got {threshold}")
        return self

    def threshold(self, rule: Rule) -> float:
        """The threshold of a rule."""
        return float(self.root.get(rule.name, rule.threshold))


class Verdict(NamedTuple):
    """The outcome of one rule: the value (None: nothing to compare with), its bound and threshold, and a sentence.

    level: what it means where the rule did not pass.
    """

    rule: str
    passed: bool
    value: float | None
    bound: Bound
    threshold: float
    reason: str
    level: Level = "stop"


def read_gate(settings: Settings) -> GateConfig:
    """The thresholds of the JSON file GATE_CONFIG; what it leaves out lets through the exposure that lists may have.

    Raises BadInput for a file that cannot be used.
    """
    if settings.gate_config is None:
        return GateConfig(_of_exposure(settings.exposure_limit))
    try:
        given = GateConfig.model_validate_json(Path(settings.gate_config).read_bytes())
    except (OSError, ValidationError) as error:
        raise BadInput(f"GATE_CONFIG must name a JSON file of the gate's thresholds: {error}") from error
    return GateConfig(_of_exposure(settings.exposure_limit) | given.root)


def _of_exposure(limit: float) -> dict[str, float]:
    """Wider thresholds of the page's rules, where lists may show one product more often than these let through."""
    default = {rule.name: rule.threshold for rule in RULES}
    wider = {name: limit for name in ("most_shown", "ten_most_shown") if limit > default[name]}
    return wider | ({"shown": 0.0} if limit == 1 else {})


def broken_zero_rules(measured: Mapping[str, float | None]) -> list[str]:
    """Names of the zero rules that the rows break, checked before any row is stored; one not measured is broken."""
    return [rule.name for rule in RULES if rule.is_zero_rule and measured.get(rule.name) != 0]


def judge(
    measured: Mapping[str, float | None],
    config: GateConfig,
    *,
    has_live: bool,
    why_not: Mapping[str, str] = MappingProxyType({}),
    even: Mapping[str, float] = MappingProxyType({}),
    remarks: Mapping[str, str] = MappingProxyType({}),
) -> list[Verdict]:
    """One verdict per rule, in the order of RULES; a measurement that is missing, negative or not finite fails.

    measured: value by name of rule. Without a live version, what is compared with it passes, and so does a rule without
    a measurement of which why_not says why. even: what a table that shows all products alike would have; a rule asks no
    more than WORSE_THAN_EVEN times that, or that part of it. remarks: what else the sentences of rules say.
    """
    verdicts = []
    for rule in RULES:
        threshold, value = _within_reach(rule, config.threshold(rule), even.get(rule.name)), measured.get(rule.name)
        if rule.compared_with in ("live", "live lists") and not has_live:
            verdicts.append(_nothing_to_compare(rule, threshold, "no live version to compare with"))
        elif value is None and rule.name in why_not:
            verdicts.append(_nothing_to_compare(rule, threshold, f"nothing to compare with: {why_not[rule.name]}"))
        else:
            verdicts.append(_verdict(rule, value, threshold, remarks.get(rule.name, "")))
    return verdicts


def broken(verdicts: Iterable[Verdict], level: Level) -> list[Verdict]:
    """The verdicts that refuse the version (stop), or ask that somebody looks (warn)."""
    return [verdict for verdict in verdicts if not verdict.passed and verdict.level == level]


def in_words(verdicts: Iterable[Verdict]) -> str:
    """Verdicts in one sentence."""
    return "; ".join(f"{verdict.rule}: {verdict.reason}" for verdict in verdicts)


def _within_reach(rule: Rule, threshold: float, even: float | None) -> float:
    """The threshold, or the one that a catalogue of so few products can keep to."""
    if even is None:
        return threshold
    if rule.bound == "at most":
        return max(threshold, min(WORSE_THAN_EVEN * even, rule.highest))
    return min(threshold, even / WORSE_THAN_EVEN)


def _nothing_to_compare(rule: Rule, threshold: float, why: str) -> Verdict:
    return Verdict(rule.name, True, None, rule.bound, threshold, why, rule.level)


def _verdict(rule: Rule, value: float | None, threshold: float, remark: str) -> Verdict:
    expected = f"must be {rule.bound} {threshold:.10g}"
    if value is None or not math.isfinite(value):
        seen = "but could not be measured"
        return Verdict(rule.name, False, None, rule.bound, threshold, f"{expected}, {seen}", rule.level)
    passed = value >= 0 and (value >= threshold if rule.bound == "at least" else value <= threshold)
    seen = f"is {value:.10g}" + (f" ({remark})" if remark else "")
    return Verdict(rule.name, passed, value, rule.bound, threshold, f"{expected}, {seen}", rule.level)
