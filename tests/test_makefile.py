"""What make does before everything else: the installation."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.settings import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

FAKE_PYTHON = """#!/bin/bash
case "$*" in
  *"-m venv"*) mkdir -p "${@: -1}/bin" ;;
  *"pip install"*) for n in {1..300}; do echo "Collecting package$n"; echo "  Using cached wheel"; done
    echo "ERROR: ends here" >&2; exit ${PIP_ENDS_WITH:-0} ;;
esac
"""


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`make` what every target needs first, in a copy, by a Python that only says what pip would."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "some.lock").touch()
    python = tmp_path / "python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    command = [
        "make",
        "--no-print-directory",
        "VENV=env",
        f"PYTHON={python}",
        f"RUN={python}",
        "LOCK=some.lock",
        "env/.installed-some.lock",
    ]
    return lambda **environment: subprocess.run(
        command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_installation_says_one_line_and_leaves_a_log(install: Callable, tmp_path: Path) -> None:
    ended = install()
    assert ended.returncode == 0, ended.stderr
    installing, counted = ended.stdout.splitlines()
    assert installing.startswith("Installing some.lock into env/") and counted == "   300 packages"
    assert len((tmp_path / "var/install.log").read_text().splitlines()) == 601
    assert (tmp_path / "env/.installed-some.lock").exists()


def test_an_installation_that_fails_shows_the_end_of_its_log(install: Callable, tmp_path: Path) -> None:
    ended = install(PIP_ENDS_WITH="1")
    assert ended.returncode != 0
    assert "var/install.log ends with:" in ended.stdout and "ERROR: ends here" in ended.stdout
    assert len(ended.stdout.splitlines()) < 30
    assert not (tmp_path / "env/.installed-some.lock").exists()
