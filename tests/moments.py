"""Work in processes of its own, that begins, and may be killed, at given moments."""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from tasks.errors import TaskError

REFUSED = 3
FORKED = multiprocessing.get_context("forkserver")  # imports once
FORKED.set_forkserver_preload(["tasks.operations.erase", "tasks.steps.build_interactions", "tasks.steps.ingest_clicks"])


def begin(work: Callable[..., object], *arguments: Any, after: float, scratch: str) -> BaseProcess:
    """Start work after so many seconds, with its temporary files below `scratch`."""
    process = FORKED.Process(target=_work, args=(after, scratch, dict(os.environ), work, arguments))
    process.start()
    return process


def end(process: BaseProcess, kill_at: float | None) -> bool:
    """Kill it at a moment of time.monotonic, or let it end; whether it was killed. Other errors fail."""
    process.join(200 if kill_at is None else max(0.0, kill_at - time.monotonic()))
    if process.is_alive() and kill_at is not None:
        process.kill()
        process.join()
    assert process.exitcode in (0, REFUSED, -signal.SIGKILL)
    return process.exitcode == -signal.SIGKILL


def _work(
    after: float, scratch: str, environment: dict[str, str], work: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    os.environ.update(environment)  # who forks may have begun with another
    tempfile.tempdir = scratch
    time.sleep(after)
    try:
        work(*arguments)
    except TaskError as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(REFUSED)
