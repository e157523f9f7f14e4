"""`python -m MODULE WORDS`, in a process of its own or, as for most of what is typed, in the test's."""

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from tasks.settings import ROOT

Ended = subprocess.CompletedProcess[str]


def in_a_process(*words: str) -> Ended:
    """The command as typed; it starts for two seconds."""
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def in_this_process(*words: str) -> Ended:
    """The same without the start: the module runs as the main one and says what it says, but for its log."""
    said, refused, code = io.StringIO(), io.StringIO(), 0
    sys.modules.pop(f"{words[0]}.__main__", None)  # a test has imported it: Python warns of one that runs twice
    with patch.object(sys, "argv", list(words)), redirect_stdout(said), redirect_stderr(refused):
        try:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            if isinstance(end.code, str):  # as the interpreter does
                print(end.code, file=sys.stderr)
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Ended(words, code, said.getvalue(), refused.getvalue())
