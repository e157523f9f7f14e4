"""Temporary files of a step are gone when it ends, and when it was killed, when the next one begins."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tasks.scratch import scratch
from tasks.settings import ROOT

KILLED = """
import os, signal, tempfile
from pathlib import Path
from tasks.scratch import scratch
with scratch():
    Path(tempfile.mkdtemp(), "clicks").write_text("of a user")
    {end}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def files_in(place: Path) -> list[Path]:
    return [file for file in place.rglob("*") if file.is_file() and not file.name.endswith("lock")]


def run(end: str) -> subprocess.Popen[str]:
    code = [sys.executable, "-c", KILLED.format(end=end)]
    return subprocess.Popen(code, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_a_killed_step_left_goes_when_the_next_begins(place: Path) -> None:
    assert run("os.kill(os.getpid(), signal.SIGKILL)").wait(60) == -signal.SIGKILL
    assert files_in(place)
    with scratch():
        assert not files_in(place)


def test_what_a_step_that_runs_has_stays(place: Path) -> None:
    with run("print('ready', flush=True); input()") as other:
        assert other.stdout and other.stdout.readline()
        with scratch() as mine, scratch() as inner:
            assert inner == mine
            assert Path(tempfile.mkdtemp()).is_relative_to(mine)
        assert files_in(place)
        other.communicate("\n")
    assert not files_in(place)
    assert tempfile.gettempdir() == str(place)
