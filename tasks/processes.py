"""One piece of work in several processes of this machine, as torchrun starts them: all of them end well, or all end.

The step that starts them reads their log and keeps a pipe open that they read from. However it dies, the pipe closes,
and with it end the processes.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numba
import torch
from torch.distributed.elastic.multiprocessing.errors import record

from tasks.errors import BadInput, NotReady
from tasks.settings import ROOT

log = logging.getLogger(__name__)

FAILURE = "failure.json"  # what torchrun writes of the process that failed first


def start(module: str, folder: Path, processes: int) -> None:
    """Run `python -m module folder` in so many processes, until all have ended; what the first one logs is logged here.

    Raises the first failure: BadInput and NotReady as they are, NotReady for a process that died without a word,
    RuntimeError for another error. Threads are divided among the processes.
    """
    threads = {"OMP_NUM_THREADS": torch.get_num_threads(), "NUMBA_NUM_THREADS": numba.config.NUMBA_NUM_THREADS}
    shares = {name: str(max(1, all_of_them // processes)) for name, all_of_them in threads.items()}
    with tempfile.TemporaryDirectory() as logs:
        failure, said = Path(logs, FAILURE), Path(logs, "torchrun.log")
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
            "--nproc-per-node", str(processes), "--local-ranks-filter", "0", "--log-dir", logs,
            "-m", module, str(folder),
        ]  # fmt: skip
        environment = os.environ | shares | {"TORCHELASTIC_ERROR_FILE": str(failure)}
        pipe = subprocess.PIPE
        with (
            said.open("w") as errors,
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=errors, text=True
            ) as launcher,
        ):
            try:
                for line in launcher.stdout or ():
                    log.info("%s", line.rstrip())
            except BaseException:
                launcher.terminate()  # it ends its processes
                raise
        if launcher.returncode:
            raise _failure(failure, said, processes)


def _failure(file: Path, said: Path, processes: int) -> Exception:
    if not file.exists():
        log.error("%s", said.read_text())
        return NotReady(
            f"one of {processes} processes died without a word, as one does that the machine kills for its memory, and "
            "the others were ended: see the log above, then run the step again, which goes on at its last checkpoint"
        )
    failed = json.loads(file.read_text())["message"]
    kind, _, words = failed["message"].partition(": ")
    for known in (BadInput, NotReady):
        if kind == known.__name__:
            return known(words)
    log.error("%s", failed["extraInfo"]["py_callstack"])
    return RuntimeError(f"one of {processes} processes failed, see the log above: {kind}: {words}")


def work(part: Callable[[Path], None]) -> None:
    """What the module that `start` names does: its part of the work in the folder that it was given, and no more."""
    threading.Thread(target=_end_with_the_step, daemon=True).start()
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # beside torchrun's words, which are many
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    for package in ("tasks", "eclare"):  # not of the libraries
        logging.getLogger(package).setLevel(logging.INFO)
    try:
        record(part)(Path(sys.argv[1]))
    except Exception:  # which torchrun tells the step
        sys.stdout.flush()
        time.sleep(1)  # where this one failed because another is gone, torchrun is to see that one first
        os._exit(1)  # a GPU's process group would wait for the others


def _end_with_the_step() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: it returns once the step has let go
    os._exit(1)
