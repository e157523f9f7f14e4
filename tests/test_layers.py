"""dags -> tasks -> eclare, tasks -> sql: the house rule of CONTRIBUTING.md, read from the imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("eclare", "tasks", "dags", "local", "pages", "plugins", "benchmarks")
OURS_ALLOWED = {
    "eclare": {"eclare"},
    "tasks": {"tasks", "eclare"},
    "dags": {"dags", "tasks"},
    "local": {"local", "tasks"},
    "pages": {"pages", "tasks"},
    "plugins": {"pages"},
    "benchmarks": {"benchmarks", "local", "tasks", "eclare"},
}
NEVER = {
    "eclare": {"airflow", "sqlalchemy", "psycopg2", "alembic", "os", "datetime", "ibis", "duckdb"},
    "tasks": {"airflow"},
}
NOT_AT_TOP = {
    "tasks": {"torch", "faiss"},
    "dags": {"tasks", "torch", "numpy", "sqlalchemy", "eclare", "scipy", "pyarrow", "pandas"},
}
ONLY_IN = {"sqlalchemy": {"tasks/database.py"}}
# Imported inside the GPU steps only: importing it means importing torch.
TORCH_FILES = {"tasks/model_inputs.py", "tasks/past_nights.py"}


def modules_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(file: Path, *, top_only: bool) -> set[str]:
    """Full names of imported modules; what only a type checker reads does not count."""
    tree = ast.parse(file.read_text())
    nodes = tree.body if top_only else list(ast.walk(tree))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return found | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def packages(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


ALL = [(folder, file) for folder in FOLDERS for file in modules_of(folder)]


@pytest.mark.parametrize(("folder", "file"), ALL, ids=[str(file.relative_to(ROOT)) for _, file in ALL])
def test_arrows_point_one_way(folder: str, file: Path) -> None:
    name = str(file.relative_to(ROOT))
    used, at_top = (packages(imports(file, top_only=top)) for top in (False, True))
    assert used & set(FOLDERS) <= OURS_ALLOWED[folder]
    assert not used & NEVER.get(folder, set())
    if name not in TORCH_FILES:
        assert not at_top & NOT_AT_TOP.get(folder, set())
    for package, files in ONLY_IN.items():
        if folder in ("tasks", "eclare", "dags"):
            assert package not in at_top or name in files


def test_steps_do_not_load_torch_by_importing_torch_files_of_eclare() -> None:
    with_torch = {
        f"eclare.{f.stem}" for f in modules_of("eclare") if {"torch", "faiss"} & packages(imports(f, top_only=True))
    }
    grown = True
    while grown:  # files that import a file that imports torch
        more = {f"eclare.{f.stem}" for f in modules_of("eclare") if imports(f, top_only=True) & with_torch}
        grown = not more <= with_torch
        with_torch |= more
    assert {"eclare.model", "eclare.train", "eclare.predict"} <= with_torch
    for file in modules_of("tasks"):
        if str(file.relative_to(ROOT)) not in TORCH_FILES:
            assert not imports(file, top_only=True) & (with_torch | {"tasks.model_inputs"}), file


def test_the_library_imports_only_upward() -> None:
    order = ["config", "interactions", "recommendations", "sparse", "metrics", "baseline", "dated_pairs", "daily_pairs"]
    order += ["sources", "fallback"]
    order += [
        "synthetic",
        "features",
        "xc_format",
        "graph",
        "co_occurrence",
        "similar",
        "selection",
        "evidence",
        "clusters",
    ]
    order += ["hashes", "model"]
    order += ["texts", "search", "batches", "distributed", "checkpoint", "optimiser", "train", "ensemble", "stages"]
    order += [
        "predict",
        "fusion",
        "reranking",
        "warm_start",
        "recommender",
        "plots",
        "signals",
        "related",
        "answers",
        "score_parts",
        "reasons",
        "__main__",
    ]
    assert {file.stem for file in modules_of("eclare")} - {"__init__"} == set(order)
    for place, name in enumerate(order):
        used = {
            i.removeprefix("eclare.")
            for i in imports(ROOT / f"eclare/{name}.py", top_only=False)
            if i.startswith("eclare.")
        }
        assert used <= set(order[:place]), f"eclare/{name}.py imports {used - set(order[:place])}"
