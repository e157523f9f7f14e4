import json
import re
import secrets
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tasks.settings import ROOT, Settings, code_version

COMPOSE_FILE = ROOT / "docker-compose.yml"
BINARIES = Path(sys.executable).parent


def compose(env_file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(BINARIES / "docker-compose"), "-f", str(COMPOSE_FILE), "--env-file", str(env_file)]
    # Nothing of the developer's environment: it would win over the file.
    return subprocess.run([*command, *words], env={}, capture_output=True, text=True, check=False)


def filled_in(folder: Path, **values: str) -> Path:
    """.env.example with a secret for every value that is left empty there."""
    text = (ROOT / ".env.example").read_text()
    text = re.sub(r"^(\w+)=$", lambda empty: f"{empty[1]}={secrets.token_hex(8)}", text, flags=re.MULTILINE)
    file = folder / "filled.env"
    file.write_text(text + "".join(f"\n{name}={value}" for name, value in values.items()))
    return file


def services(env_file: Path) -> dict[str, dict[str, Any]]:
    config = compose(env_file, "config", "--format", "json")
    assert config.returncode == 0, config.stderr
    return dict(json.loads(config.stdout)["services"])


def test_the_file_holds_to_the_compose_specification() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [str(BINARIES / "check-jsonschema"), *schema, str(COMPOSE_FILE)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_the_example_filled_in_is_accepted(tmp_path: Path) -> None:
    config = compose(filled_in(tmp_path), "config", "-q")
    assert (config.returncode, config.stderr) == (0, "")


def test_there_is_no_usable_default_password() -> None:
    refused = compose(ROOT / ".env.example", "config", "-q")
    assert refused.returncode != 0
    empty = re.findall(r"^(\w+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert {name for name in empty if re.search("PASSWORD|SECRET|KEY", name)} == set(empty)
    for name in empty:
        assert f"${{{name}:?" in COMPOSE_FILE.read_text()


def test_a_host_without_a_gpu_serves_both_queues_with_one_worker(tmp_path: Path) -> None:
    found = services(filled_in(tmp_path))
    assert "gpu-worker" not in found
    assert "default,gpu" in found["worker"]["command"]


def test_a_gpu_host_has_a_worker_for_the_queue_gpu_with_the_card(tmp_path: Path) -> None:
    found = services(filled_in(tmp_path, WORKER_QUEUES="default", COMPOSE_PROFILES="gpu"))
    assert "default" in found["worker"]["command"]
    assert "gpu" in found["gpu-worker"]["command"]
    assert found["gpu-worker"]["build"]["target"] == "gpu"
    [device] = found["gpu-worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_every_service_is_pinned_watched_and_closed_to_the_outside(tmp_path: Path) -> None:
    for name, service in services(filled_in(tmp_path, COMPOSE_PROFILES="gpu")).items():
        assert re.search(r":(\d+\.\d+(\.\d+)?|cpu|gpu)$", service["image"]), name
        assert "healthcheck" in service or name == "init"
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", [])), name


def test_the_schema_is_migrated_before_anything_starts(tmp_path: Path) -> None:
    found = services(filled_in(tmp_path, COMPOSE_PROFILES="gpu"))
    assert "python -m tasks migrate\n" in found["init"]["command"][-1]
    assert found["init"]["environment"]["DATABASE_URL"] == found["worker"]["environment"]["DATABASE_URL"]
    for name, service in found.items():
        if name not in ("init", "postgres", "redis"):
            assert service["depends_on"]["init"]["condition"] == "service_completed_successfully", name


def test_every_setting_reaches_the_workers(tmp_path: Path) -> None:
    names = {name.upper() for name in Settings.model_fields} - {"STATE_FOLDER"}
    from_env = dict.fromkeys(names - {"DATABASE_URL"}, "7")
    worker = services(filled_in(tmp_path, **from_env))["worker"]["environment"]
    assert {name: worker.get(name) for name in from_env} == from_env
    assert "@postgres/recommendations" in worker["DATABASE_URL"]


def test_the_version_of_the_code_is_known_where_git_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert code_version.__wrapped__()  # not what this process has asked before


def test_the_image_runs_as_nobody_special_and_installs_the_locks() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    for target in ("cpu", "gpu"):
        [stage] = [stage for stage in stages if stage.startswith(f"base AS {target}\n")]
        assert f"-r requirements-{target}.lock" in stage
        assert stage.rstrip().endswith("USER airflow")


def test_the_image_with_java_is_the_one_that_runs_where_it_is_asked_for(tmp_path: Path) -> None:
    [stage] = [each for each in (ROOT / "Dockerfile").read_text().split("\nFROM ") if each.startswith("cpu AS spark\n")]
    assert "openjdk-17-jre-headless" in stage and stage.rstrip().endswith("USER airflow")
    worker = services(filled_in(tmp_path, IMAGE_TARGET="spark", ENGINE="spark"))["worker"]
    assert (worker["image"], worker["build"]["target"]) == ("eclare-nightly:spark", "spark")
    assert worker["environment"]["ENGINE"] == "spark"
    assert services(filled_in(tmp_path))["worker"]["build"]["target"] == "cpu"


def test_the_image_has_what_is_installed_and_a_folder_for_checkpoints(tmp_path: Path) -> None:
    shipped = (ROOT / ".dockerignore").read_text().split()
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    for folder in {name.partition(".")[0] for name in packages} | {"dags", "plugins", "sql"}:
        assert f"!{folder}" in shipped
    # The checkout belongs to root there, so the default, var/ below it, cannot be made.
    [state] = re.findall(r"\bSTATE_FOLDER=(\S+)", (ROOT / "Dockerfile").read_text())
    assert re.search(rf"install --directory --owner airflow [^&]*{state}\b", (ROOT / "Dockerfile").read_text())
    gpu_worker = services(filled_in(tmp_path, COMPOSE_PROFILES="gpu"))["gpu-worker"]
    assert state in [volume["target"] for volume in gpu_worker["volumes"]]
