"""The command for a GPU host, tried on a CPU with small shapes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check
from benchmarks.gpu_check import Check, Figures, outcome_of, table
from tasks.settings import ROOT

NOT_THERE = ("faiss", "safetensors", "tqdm", "pandas", "pyarrow", "typer", "rich", "pytest")
NEEDS_MORE = "libraries,checkpoint,predict_131k,paper_131k,tests"
HOST = f"import sys\nsys.modules |= dict.fromkeys({NOT_THERE!r})\n"


def check_of(seconds: float = 60.0) -> Check:
    return Check(torch.device("cpu"), 0.01, time.monotonic() + seconds)


def printed(parts: str, **environment: str) -> tuple[Figures, str]:
    """The figures and the table of a run of these parts."""
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu", "--scale", "0.002", "--parts", parts]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    told, _, line = run.stdout.strip().rpartition("\n")
    return json.loads(line), told


@pytest.mark.slow
def test_a_bare_host_skips_what_needs_more_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HOST)
    figures, told = printed(f"results,search,train_131k,{NEEDS_MORE}", PYTHONPATH=str(tmp_path))
    assert figures["right"] and set(NOT_THERE) <= set(figures["missing"])
    skipped = {name for name, part in figures["parts"].items() if "skipped" in part}
    assert skipped == set(NEEDS_MORE.split(",")), "on a GPU faiss is not needed"
    trained = figures["parts"]["train_131k"]
    assert (trained["inputs_by"], trained["by_cpu_inputs_by"]) == ("torch on cpu", "the CPU in turn")
    assert all(trained[by + name] > 0 for by in ("", "by_cpu_") for name in ("s_an_epoch", "s_inputs"))
    assert figures["parts"]["results"]["inputs_that_differ"] == 0
    assert figures["parts"]["search"]["recall_of_2100"] == 1
    assert "missing on this host: faiss, safetensors, tqdm" in told


@pytest.mark.slow
def test_a_whole_host_leaves_nothing_out() -> None:
    figures, told = printed("libraries,results,checkpoint,predict_131k,paper_131k")  # this suite is the tests
    assert figures["right"] and not [part for part in figures["parts"].values() if "skipped" in part]
    assert figures["parts"]["predict_131k"]["recall_of_100"] == 1
    assert "results" in told


def test_a_result_outside_its_tolerance_is_wrong_also_one_that_is_no_number() -> None:
    check = check_of()
    check.within("encoded", 1e-5, 1e-4)
    assert check.wrong == []
    check.within("encoded", 2e-4, 1e-4)
    check.within("loss", float("nan"), 1e-4)
    assert check.wrong == ["encoded is 0.0002, at most 0.0001 is right", "loss is nan, at most 0.0001 is right"]
    assert "WRONG: loss is nan" in table({}, [], check.wrong)


def test_a_part_tells_what_it_knew_before_it_failed_or_was_stopped(monkeypatch) -> None:
    monkeypatch.setattr(gpu_check, "LEAST_SECONDS", 0.5)

    def part(check: Check) -> Iterator[Figures]:
        yield {"known": 1}
        raise {"fails": ZeroDivisionError, "lacks": ImportError}[how]("why")

    def endless(check: Check) -> Iterator[Figures]:
        yield {"known": 1}
        time.sleep(60)

    how = "fails"
    failed = outcome_of(part, check_of())
    assert (failed["known"], failed["failed"]) == (1, "ZeroDivisionError: why")
    how = "lacks"
    assert outcome_of(part, check_of())["skipped"] == "why"
    stopped = outcome_of(endless, check_of(0.7))
    assert stopped["known"] == 1 and "minutes are over" in stopped["stopped"]
    assert "known" not in outcome_of(endless, check_of(0.4)), "it was not begun"
