"""Cached machine code of several processes in one."""

import re
import subprocess
import sys
from pathlib import Path

import eclare
from tasks.settings import ROOT

PACKAGE = Path(eclare.__file__).parent
COMPILED = """
import numpy as np
from eclare.arrays.kernels import numba
order = numba.njit(lambda values: np.argsort(values))
assert order(np.array([30, 10, 20], np.int32)).tolist() == [1, 2, 0]
print(*[each.fndesc.mangled_name for each in order.overloads.values()])
"""


def test_no_two_processes_give_one_name() -> None:
    """Of numba alone they do: the same number to what each of them compiles first."""

    def name() -> str:
        command = [sys.executable, "-c", COMPILED]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    one, other = name(), name()
    assert one and one != other


def test_every_kernel_is_compiled_so() -> None:
    importing = re.compile(r"^\s*(import numba|from numba)\b", re.MULTILINE)
    files = {str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py") if importing.search(file.read_text())}
    assert files == {"arrays/kernels.py"}
