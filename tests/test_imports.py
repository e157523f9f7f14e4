"""What may be loaded when; which folder may use which is for import-linter to say (pyproject.toml, `make check`)."""

import json
import subprocess
import sys

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
