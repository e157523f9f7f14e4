"""The gate: named rules with thresholds that tonight's version must pass before anybody sees it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import BadInput
from tasks.settings import Settings

Bound = Literal["at least", "at most"]
# Rows that must not be: no threshold, no override.
ZERO_RULES = ("itself", "repeated", "blocked", "out_of_stock", "unknown")
NO_COMPARISON = ("live_precision", "live_psp", "live_ndcg", "churn", "score_drift")  # pass where no version is live


class GateConfig(BaseModel):
    """Thresholds of the gate, from the JSON file GATE_CONFIG; ratios are those of held-out metrics at 10."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    row_count: int = Field(1, ge=1, description="rows, at least")
    coverage: float = Field(0.5, ge=0, le=1, description="share of the catalogue with a related product, at least")
    full: float = Field(0.5, ge=0, le=1, description="share of the catalogue with all TOP_K related products, at least")
    live_precision: float = Field(0.7, ge=0, description="P over that of the live version, at least")
    live_psp: float = Field(0.7, ge=0, description="PSP over that of the live version, at least")
    live_ndcg: float = Field(0.7, ge=0, description="nDCG over that of the live version, at least")
    baseline_precision: float = Field(0.8, ge=0, description="P over that of the co-click baseline, at least")
    baseline_psp: float = Field(0.8, ge=0, description="PSP over that of the co-click baseline, at least")
    baseline_ndcg: float = Field(0.8, ge=0, description="nDCG over that of the co-click baseline, at least")
    tail_recall: float = Field(0.7, ge=0, description="recall of tail products over the baseline's, at least")
    churn: float = Field(0.9, ge=0, le=1, description="share of the first 10 that the live version lacks, at most")
    score_drift: float = Field(3.0, ge=0, description="change of the mean score in standard deviations, at most")


class Verdict(NamedTuple):
    """What one rule said: the value (None: nothing to compare with), its bound and threshold, and a sentence."""

    rule: str
    passed: bool
    value: float | None
    bound: Bound
    threshold: float
    reason: str


def read_gate(settings: Settings) -> GateConfig:
    """The thresholds of the JSON file GATE_CONFIG, or the defaults; raises BadInput for a file that cannot be used."""
    if settings.gate_config is None:
        return GateConfig()
    try:
        return GateConfig.model_validate_json(Path(settings.gate_config).read_bytes())
    except (OSError, ValidationError) as error:
        raise BadInput(f"GATE_CONFIG must name a JSON file of the gate's thresholds: {error}") from error


def judge(facts: Mapping[str, float | None], config: GateConfig, *, has_live: bool) -> list[Verdict]:
    """One verdict per rule, zero rules first. A fact that is missing, negative or not finite fails its rule.

    facts: rule -> measured value. Without a live version, what is compared with it passes.
    """
    verdicts = [_verdict(rule, facts.get(rule), "at most", 0.0) for rule in ZERO_RULES]
    for rule, threshold in config.model_dump().items():
        bound: Bound = "at most" if rule in ("churn", "score_drift") else "at least"
        if rule in NO_COMPARISON and not has_live:
            verdicts.append(Verdict(rule, True, None, bound, float(threshold), "no live version to compare with"))
        else:
            verdicts.append(_verdict(rule, facts.get(rule), bound, float(threshold)))
    return verdicts


def breaks_a_zero_rule(verdicts: list[Verdict]) -> bool:
    """Whether the rows hold something that nobody may ever see."""
    return any(not verdict.passed for verdict in verdicts if verdict.rule in ZERO_RULES)


def refusals(verdicts: list[Verdict]) -> str:
    """The failed rules in one sentence."""
    return "; ".join(f"{verdict.rule}: {verdict.reason}" for verdict in verdicts if not verdict.passed)


def _verdict(rule: str, value: float | None, bound: Bound, threshold: float) -> Verdict:
    expected = f"must be {bound} {threshold:.10g}"
    if value is None or not math.isfinite(value):
        return Verdict(rule, False, None, bound, threshold, f"{expected}, but could not be measured")
    passed = value >= 0 and (value >= threshold if bound == "at least" else value <= threshold)
    return Verdict(rule, passed, value, bound, threshold, f"{expected}, is {value:.10g}")
