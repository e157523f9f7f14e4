"""The shape of the code: files, functions, arguments and bare tuples, by folder, read from the syntax trees."""

import ast
import json
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

FOLDERS = ("eclare", "tasks", "dags", "local", "pages", "plugins", "benchmarks", "tests")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Shape(NamedTuple):
    """Counts of one folder; lines of functions are from `def` to the end, arguments without self and cls."""

    files: int
    files_in_largest_folder: int
    lines_median: float
    lines_largest: int
    function_median: float
    function_p90: float
    most_arguments: int
    tuple_parameters: int


def main(root: Annotated[Path, typer.Argument(help="the checkout to measure")] = Path()) -> None:
    """Print a table by folder, then one line of JSON."""
    shapes = {name: shape_of(root / name) for name in FOLDERS if (root / name).is_dir()}
    table = Table("folder", *(name.replace("_", " ") for name in Shape._fields))
    for name, shape in shapes.items():
        table.add_row(name, *(f"{figure:g}" for figure in shape))
    Console(stderr=True, width=160).print(table)
    print(json.dumps({name: shape._asdict() for name, shape in shapes.items()}))


def shape_of(folder: Path) -> Shape:
    """What the Python files below a folder look like; empty files count nothing."""
    texts = {file: text for file in sorted(folder.rglob("*.py")) if (text := file.read_text()).strip()}
    lines = [len(text.splitlines()) for text in texts.values()]
    functions = [node for text in texts.values() for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    parents = [file.parent for file in texts]
    return Shape(
        len(texts),
        max(map(parents.count, parents)),
        median(lines),
        max(lines),
        median(lengths) if lengths else 0,
        quantiles(lengths, n=10)[-1] if len(lengths) > 1 else 0,
        max((len(_parameters(node)) for node in functions), default=0),
        sum(_is_tuple(parameter) for node in functions for parameter in _parameters(node)),
    )


def _parameters(function: Function) -> list[ast.arg]:
    arguments = function.args
    return [a for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs) if a.arg not in ("self", "cls")]


def _is_tuple(parameter: ast.arg) -> bool:
    """Whether it is a bare tuple of named positions, as tuple[int, float], not tuple[int, ...]."""
    annotation = parameter.annotation
    if not (isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple)):
        return False
    is_open = any(isinstance(part, ast.Constant) and part.value is ... for part in annotation.slice.elts)
    return isinstance(annotation.value, ast.Name) and annotation.value.id == "tuple" and not is_open


if __name__ == "__main__":
    typer.run(main)
