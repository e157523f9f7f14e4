"""`python -m tasks`, as typed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.run import INGEST, REFRESH, STEPS
from tasks.settings import ROOT, Settings
from tests.small_shop import FIRST, NIGHT, deliver_catalogue, deliver_log


def tasks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tasks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_whole_night_logs_each_step_and_ends_with_the_metrics_beside_the_baseline(settings: Settings) -> None:
    deliver_log(Path(settings.click_log_url))
    deliver_catalogue(Path(settings.catalogue_url))
    ended = tasks("night", "--night", str(NIGHT), "--since", str(FIRST))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("ingest_clicks of night") == 2 * 12  # it begins, it ends
    assert all(f"{step} of night {NIGHT}: " in ended.stderr for step in STEPS)
    assert "co-click baseline" in ended.stdout
    assert all(f"{metric}@10" in ended.stdout for metric in ("P", "PSP", "nDCG", "recall", "coverage"))


@pytest.mark.slow
def test_each_step_runs_alone_and_is_refused_in_one_line(settings: Settings) -> None:
    for step in (*INGEST, *REFRESH):
        ended = tasks(step, "--night", "2017-06-30")
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1].startswith("NotReady: ")
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("night", "said"), [("2999-12-31", "is in the future"), ("yesterday", "YYYY-MM-DD")])
def test_a_night_that_cannot_be_is_refused(settings: Settings, night: str, said: str) -> None:
    ended = tasks("night", "--night", night)
    assert ended.returncode == 1
    assert ended.stderr.startswith("BadInput: ")
    assert said in ended.stderr
