"""The wheel: what is in it, and its commands in an installation that has no checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from tasks.settings import ROOT

pytestmark = pytest.mark.slow
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since setuptools leaves its own folders where it builds."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for name in ("eclare", "tasks", "local", "pages", "sql"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", out, copy], check=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_all_that_runs_and_nothing_that_tests(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    for folder in ("eclare", "tasks", "local", "pages", "sql"):
        inside = "tasks/sql" if folder == "sql" else folder
        for file in (ROOT / folder).rglob("*.*"):
            if "__pycache__" not in file.parts:
                assert f"{inside}/{file.relative_to(ROOT / folder)}" in names, file
    assert {"eclare/py.typed", "tasks/py.typed"} <= names
    tops = {name.partition("/")[0] for name in names}
    version = PROJECT["project"]["version"]
    assert tops == {"eclare", "tasks", "local", "pages", f"eclare_nightly-{version}.dist-info"}


def test_its_commands_run_where_there_is_no_checkout(
    wheel: Path, tmp_path: Path, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed, place = tmp_path / "installed", tmp_path / "anywhere"
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", installed, wheel], check=True)
    place.mkdir()
    (place / ".env").write_text(f"DATABASE_URL={fresh_database_url}\nSTORAGE_URL=kept\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def said(command: str, *words: str) -> tuple[int, str]:
        environment = os.environ | {"PYTHONPATH": str(installed)}
        ended = subprocess.run(
            [installed / "bin" / command, *words],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, (ended.stdout or ended.stderr).strip().splitlines()[-1]

    newest = max(file.name for file in (ROOT / "sql" / "migrations" / "versions").glob("0*.py")).partition("_")[0]
    assert said("eclare-nightly", "migrate") == (0, f"the schema is at revision {newest}")
    assert said("eclare-nightly", "export") == (
        1, "BadInput: a live version must be there to be exported, got none: see the table recommendation_version"
    )  # fmt: skip
    code = "from tasks.settings import Settings, code_version; print(code_version(), Settings().storage_url)"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    seen = subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True, check=True
    )
    assert seen.stdout.split() == [PROJECT["project"]["version"], str(place / "kept")]
    assert said("eclare", "--help")[0] == 0
