"""Parse a DAG folder as Airflow does, with what DAG files must not load made unimportable; print what was found."""

import builtins
import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

BLOCKED = ("torch", "numpy", "scipy", "numba", "faiss", "pandas", "pyarrow", "eclare", "tasks")


def refuse_sqlalchemy_to(folder: Path) -> None:
    """Airflow itself needs SQLAlchemy, so only imports written in files of this folder are refused."""
    original = builtins.__import__

    def checked_import(name, globals=None, locals=None, fromlist=(), level=0):
        importer = Path((globals or {}).get("__file__") or "/")
        if name.partition(".")[0] == "sqlalchemy" and importer.is_relative_to(folder):
            raise ImportError("sqlalchemy must not be imported while DAG files are parsed")
        return original(name, globals, locals, fromlist, level)

    builtins.__import__ = checked_import


dags_folder = Path(sys.argv[1])
for package in BLOCKED:
    sys.modules[package] = None
refuse_sqlalchemy_to(dags_folder)
bag = DagBag(str(dags_folder))
print(json.dumps({"import_errors": bag.import_errors, "dags": sorted(bag.dags)}))
