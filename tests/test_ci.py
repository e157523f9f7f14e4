"""CI of a public forge: it does what .ci/run does, and builds what cannot be built here."""

import re
import subprocess

import yaml

from tasks.settings import ROOT
from tests.compose import BINARIES, COMPOSE_FILE

WORKFLOW = ROOT / ".github/workflows/ci.yml"
JOBS = yaml.safe_load(WORKFLOW.read_text())["jobs"]


def test_the_file_holds_to_the_schema_of_workflows() -> None:
    command = [BINARIES / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_commands_are_those_of_every_other_ci_against_both_servers() -> None:
    assert JOBS["test"]["steps"][-1]["run"].endswith(".ci/run")
    images = {name: service["image"] for name, service in JOBS["test"]["services"].items()}
    assert images["postgres"].startswith("postgres:15.")  # the oldest that docs/deploy.md names
    assert images["redis"] == yaml.safe_load(COMPOSE_FILE.read_text())["services"]["redis"]["image"]


def test_every_target_of_the_dockerfile_is_built() -> None:
    targets = re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(JOBS["images"]["strategy"]["matrix"]["target"]) == set(targets) - {"base"}
    assert any("docker build" in step.get("run", "") for step in JOBS["images"]["steps"])


def test_the_chart_whose_schema_is_loaded_is_the_one_that_is_installed() -> None:
    """The workflow finds its version by the words of the documentation."""
    [pattern] = re.findall(r"sed -n 's/(.*)/\\1/p' docs/deploy.md", WORKFLOW.read_text())
    pattern = pattern.replace(r"\(", "(").replace(r"\)", ")").replace(r"\/", "/")
    assert re.findall(pattern, (ROOT / "docs/deploy.md").read_text()) == ["1.22.0"]


def test_what_others_wrote_is_pinned_by_what_it_contains() -> None:
    assert all(
        re.search(r"@[0-9a-f]{40}$", step["uses"]) for job in JOBS.values() for step in job["steps"] if "uses" in step
    )
    images = [*JOBS["test"]["services"].values(), *yaml.safe_load(COMPOSE_FILE.read_text())["services"].values()]
    named = [each["image"] for each in images if "image" in each and "eclare" not in each["image"]]
    named += re.findall(r"^FROM (\S+:\S+) AS", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(named) == 5
    assert all(re.search(r":\d+\.\d+(\.\d+)?-\S+@sha256:[0-9a-f]{64}$", each) for each in named), named
