"""deploy/kubernetes without a cluster: what its files say of each other, of the code, and of their schemas."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.settings import ROOT, Settings

FOLDER = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SETTINGS = {name.upper() for name in Settings.model_fields}
# Files that nobody ships in a repository of theirs: where they lie on this machine is said by a variable each.
SCHEMAS = {"values.yaml": "AIRFLOW_CHART_SCHEMA", "gpu_pod.yaml": "KUBERNETES_POD_SCHEMA"}


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


VALUES, POD = read("values.yaml"), read("gpu_pod.yaml")
[BASE] = POD["spec"]["containers"]
POLICY = (FOLDER / "airflow_local_settings.py").read_text()
DOCS = (ROOT / "docs" / "deploy.md").read_text().partition("## Kubernetes")[2].partition("\n## ")[0]


def schema_of(file: str) -> Path:
    if not (schema := os.environ.get(SCHEMAS[file])):
        pytest.skip(f"{SCHEMAS[file]} names no schema for {file}")
    return Path(schema)


@pytest.mark.parametrize("file", SCHEMAS)
def test_the_file_holds_to_its_schema(file: str) -> None:
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--schemafile", str(schema_of(file))]
    checked = subprocess.run([*command, str(FOLDER / file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_chart_knows_every_value() -> None:
    """Its schema refuses unknown names below these, but lets them pass at the top."""
    assert set(VALUES) <= set(json.loads(schema_of("values.yaml").read_text())["properties"])


def test_the_default_image_is_the_target_cpu_and_the_pod_is_the_target_gpu() -> None:
    repository, tag = VALUES["defaultAirflowRepository"], VALUES["defaultAirflowTag"]
    assert (f"{repository}:{tag}", BASE["image"]) == (f"{repository}:cpu", f"{repository}:gpu")
    for target in ("cpu", "gpu"):
        assert f"\nFROM base AS {target}\n" in DOCKERFILE
    executor = VALUES["config"]["kubernetes_executor"]  # an image here would win over the pod's
    assert (executor["worker_container_repository"], executor["worker_container_tag"]) == ("", "")


def test_the_images_have_airflow_of_that_version_and_its_kubernetes_executor() -> None:
    for target in ("cpu", "gpu"):
        lock = (ROOT / f"requirements-{target}.lock").read_text()
        assert f"\napache-airflow=={VALUES['airflowVersion']}\n" in lock
        assert "\napache-airflow-providers-cncf-kubernetes==" in lock


def test_the_gpu_pod_is_a_pod_that_airflow_can_fill_in() -> None:
    assert (POD["apiVersion"], POD["kind"], POD["spec"]["restartPolicy"]) == ("v1", "Pod", "Never")
    assert BASE["name"] == "base"
    assert BASE["resources"]["limits"] == {"nvidia.com/gpu": 1}
    mounted = [mount["name"] for mount in BASE["volumeMounts"]]
    assert sorted(mounted) == sorted(volume["name"] for volume in POD["spec"]["volumes"])
    assert f"useradd --uid {POD['spec']['securityContext']['runAsUser']} " in DOCKERFILE


def test_all_pods_have_the_same_settings() -> None:
    assert yaml.safe_load(VALUES["extraEnvFrom"]) == BASE["envFrom"]


def test_every_name_of_the_environment_is_one_that_is_read() -> None:
    names = re.findall(r"^(\w+)=", (FOLDER / "settings.env").read_text(), re.MULTILINE)
    secrets = re.findall(r"--from-literal=([A-Z]\w+)=", DOCS)
    assert {"STORAGE_URL", "CLICK_LOG_URL", "CATALOGUE_URL"} <= set(names)
    assert "DATABASE_URL" in secrets
    unknown = {name for name in names + secrets if not name.startswith(("AIRFLOW__", "AWS_"))} - SETTINGS
    assert not unknown


def test_folders_are_those_of_the_image() -> None:
    core = VALUES["config"]["core"]
    shipped = (ROOT / ".dockerignore").read_text().split()
    for kind in ("dags", "plugins"):
        assert f"AIRFLOW__CORE__{kind.upper()}_FOLDER={core[f'{kind}_folder']} " in DOCKERFILE
        assert f"!{kind}" in shipped and (ROOT / kind).is_dir()
    mounts = {mount["name"]: mount["mountPath"] for mount in BASE["volumeMounts"]}
    assert f"STATE_FOLDER={mounts['state']}\n" in DOCKERFILE
    assert mounts["logs"] == "/opt/airflow/logs"


def test_what_is_referred_to_is_made_or_documented() -> None:
    manifests = "".join((FOLDER / name).read_text() for name in ("kustomization.yaml", "volumes.yaml"))
    made = re.findall(r"^  (?:- )?name: (recommendations-\w+)$", manifests, re.MULTILINE)
    made += re.findall(r"kubectl create secret generic (recommendations-\w+)", DOCS)
    # The chart's own, whose names follow from fullnameOverride.
    assert VALUES["useStandardNaming"] and VALUES["fullnameOverride"] == "recommendations"
    made += ["recommendations-config", "recommendations-worker"]
    used = re.findall(r"recommendations-\w+", json.dumps([VALUES, POD]))
    assert set(used) == set(made)


def test_the_schema_and_the_pool_are_made_as_docker_compose_makes_them() -> None:
    [*_, script] = VALUES["migrateDatabaseJob"]["args"]
    init = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["init"]
    assert script.startswith("python -m tasks migrate\n") and init["command"][-1].endswith(script)


def test_the_users_are_those_of_docker_compose() -> None:
    [line] = re.findall(r"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS: (.+)", (ROOT / "docker-compose.yml").read_text())
    assert VALUES["config"]["core"]["simple_auth_manager_users"] == line


def test_tasks_of_the_queue_gpu_run_in_the_gpu_pod_and_no_others_do(tmp_path: Path) -> None:
    assert "{{" not in POLICY  # Helm would take it for a template of its own
    [mount] = VALUES["scheduler"]["extraVolumeMounts"]
    template = f"{mount['mountPath']}/gpu_pod.yaml"
    # As on a cluster: Airflow finds the policy on its path. A process of its own, since it keeps what it found.
    environment = os.environ | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}"}
    command = [sys.executable, str(ROOT / "tests/dags/where_tasks_run.py"), str(ROOT / "dags")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    gpu = ["gpu", "gpu", {"pod_template_file": template}]
    assert {task for task, where in found.items() if where == gpu} == {
        "train_model", "evaluate_model", "rank_products", "recommend_products",
    }  # fmt: skip
    assert all(where == ["default_pool", "default", {}] for where in found.values() if where != gpu)
