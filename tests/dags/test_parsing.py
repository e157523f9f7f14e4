import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.airflow_api import DAGS
from tasks.settings import ROOT

pytestmark = pytest.mark.slow


def parse(dags_folder: Path, home: Path) -> dict[str, Any]:
    parsed = subprocess.run(
        [sys.executable, str(ROOT / "tests/dags/parse_alone.py"), str(dags_folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert parsed.returncode == 0, parsed.stderr
    return dict(json.loads(parsed.stdout.splitlines()[-1]))


def test_all_dags_parse_without_torch_numpy_sqlalchemy_and_our_steps(tmp_path: Path) -> None:
    found = parse(ROOT / "dags", tmp_path)
    assert found == {"import_errors": {}, "dags": sorted(DAGS)}


def test_a_heavy_import_at_the_top_of_a_dag_file_is_an_import_error(tmp_path: Path) -> None:
    heavy = ("torch", "numpy", "sqlalchemy", "tasks.run")
    for number, package in enumerate(heavy):
        (tmp_path / f"heavy_{number}.py").write_text(
            f"import {package}\nfrom airflow.sdk import DAG\nDAG('heavy_{number}')\n"
        )
    found = parse(tmp_path, tmp_path / "home")
    assert found["dags"] == []
    for number, package in enumerate(heavy):
        assert package.partition(".")[0] in found["import_errors"][str(tmp_path / f"heavy_{number}.py")]
