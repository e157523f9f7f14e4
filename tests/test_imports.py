"""What may be loaded when; which folder may use which is for import-linter to say (pyproject.toml, `make check`)."""

import json
import os
import subprocess
import sys

import pytest

from tasks.run import STEPS
from tasks.settings import ROOT

HEAVY = ("torch", "faiss", "matplotlib", "airflow")
LOADED = """
import importlib, json, sys
for module in sys.argv[2:]:
    importlib.import_module(module)
print(json.dumps(sorted(set(json.loads(sys.argv[1])) & set(sys.modules))))
"""


def test_the_command_line_and_every_step_load_without_what_takes_seconds() -> None:
    modules = ["tasks.__main__", *(f"tasks.steps.{step}" for step in STEPS)]
    command = [sys.executable, "-c", LOADED, json.dumps(HEAVY), *modules]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(loaded.stdout) == []


@pytest.mark.parametrize(("given", "found"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_environment_says_otherwise(given: dict[str, str], found: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    command = [sys.executable, "-c", "import os, tasks; print(os.environ['OMP_WAIT_POLICY'])"]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == f"{found}\n"
