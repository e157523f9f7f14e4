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

from tasks.publish.gate import read_gate
from tasks.settings import ROOT, Settings

FOLDER = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SETTINGS = {name.upper() for name in Settings.model_fields}
# No package ships the chart's schema: where it lies on this machine is said by a variable.
CHART_SCHEMA = "AIRFLOW_CHART_SCHEMA"
KUBERNETES = "1.36"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


VALUES, POD = read("values.yaml"), read("gpu_pod.yaml")
[BASE] = POD["spec"]["containers"]
POLICY = (FOLDER / "airflow_local_settings.py").read_text()
DOCS = (ROOT / "docs" / "deploy.md").read_text().partition("## Kubernetes")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def chart_schema() -> Path:
    if not (schema := os.environ.get(CHART_SCHEMA)):
        pytest.skip(f"{CHART_SCHEMA} names no values.schema.json of Airflow's chart")
    return Path(schema)


def test_the_values_hold_to_the_schema_of_the_chart(chart_schema: Path) -> None:
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--schemafile", str(chart_schema)]
    checked = subprocess.run([*command, str(FOLDER / "values.yaml")], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_chart_knows_every_value(chart_schema: Path) -> None:
    """Its schema refuses unknown names below these, but lets them pass at the top."""
    assert set(VALUES) <= set(json.loads(chart_schema.read_text())["properties"])


def test_manifests_hold_to_the_schema_of_their_kind() -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    manifests = [POD, *yaml.safe_load_all((FOLDER / "volumes.yaml").read_text())]
    assert [validate(each, KUBERNETES, strict=True) for each in manifests] == [KUBERNETES] * len(manifests)


def test_no_pod_has_rights_that_docker_compose_takes() -> None:
    [init] = VALUES["apiServer"]["extraInitContainers"]
    contexts = VALUES["securityContexts"]
    for of_pod in (contexts["pod"], POD["spec"]["securityContext"]):
        assert of_pod["runAsNonRoot"] and f"useradd --uid {of_pod['runAsUser']} " in DOCKERFILE
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for of_container in (contexts["containers"], init["securityContext"], BASE["securityContext"]):
        assert of_container == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_every_container_has_a_limit_of_memory() -> None:
    [init] = VALUES["apiServer"]["extraInitContainers"]
    components = ("apiServer", "scheduler", "dagProcessor", "triggerer", "migrateDatabaseJob")
    limited = [*map(VALUES.get, components), VALUES["workers"]["kubernetes"], init, BASE]
    assert all(each["resources"]["limits"]["memory"] for each in limited)


def test_every_file_that_a_setting_names_is_mounted_in_every_pod() -> None:
    named = re.findall(r"^\w+=(/.+)$", (FOLDER / "settings.env").read_text(), re.MULTILINE)
    [mount] = VALUES["volumeMounts"]
    assert mount in BASE["volumeMounts"]
    [volume] = VALUES["volumes"]
    assert volume in POD["spec"]["volumes"]
    made = {each["name"]: each.get("files") for each in read("kustomization.yaml")["configMapGenerator"]}
    assert named == [f"{mount['mountPath']}/{file}" for file in made[volume["configMap"]["name"]]]
    assert read_gate(Settings(_env_file=None, gate_config=FOLDER / "gate.json")) == read_gate(Settings(_env_file=None))


def test_the_default_image_is_the_target_cpu_and_the_pod_is_the_target_gpu() -> None:
    repository, tag = VALUES["defaultAirflowRepository"], VALUES["defaultAirflowTag"]
    assert (f"{repository}:{tag}", BASE["image"]) == (f"{repository}:cpu", f"{repository}:gpu")
    for target in ("cpu", "gpu"):
        assert f"\nFROM base AS {target}\n" in DOCKERFILE
    executor = VALUES["config"]["kubernetes_executor"]  # an image here would win over the pod's
    assert (executor["worker_container_repository"], executor["worker_container_tag"]) == ("", "")


def test_the_images_have_airflow_of_that_version_and_its_kubernetes_executor() -> None:
    for target in ("cpu", "gpu"):
        lock = (ROOT / f"requirements-image-{target}.lock").read_text()
        assert f"\napache-airflow=={VALUES['airflowVersion']} " in lock
        assert "\napache-airflow-providers-cncf-kubernetes==" in lock


def test_the_gpu_pod_is_a_pod_that_airflow_can_fill_in() -> None:
    assert (POD["apiVersion"], POD["kind"], POD["spec"]["restartPolicy"]) == ("v1", "Pod", "Never")
    assert BASE["name"] == "base"
    assert BASE["resources"]["limits"]["nvidia.com/gpu"] == 1
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
