"""Commands of Airflow that one process forks: what all of them load, two to five seconds of a core, is loaded once.

As a program: a line of standard input asks, {command, log}; a line of the file descriptor that the argument names
answers with the number of the process. What it starts has its environment and its folder, and outlives it.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO

import psutil

LOADED = (
    *(
        f"airflow.cli.commands.{name}_command"
        for name in ("api_server", "dag_processor", "db", "scheduler", "triggerer")
    ),
    *("airflow.api_fastapi.core_api.routes.public", "airflow.api_fastapi.core_api.routes.ui"),
    *("airflow.api_fastapi.execution_api.app", "airflow.api_fastapi.execution_api.routes", "airflow.utils.db"),
    *("airflow.dag_processing.processor", "airflow.serialization.serialized_objects", "kombu.transport.redis"),
    *("airflow.providers.celery.executors.celery_executor", "airflow.providers.celery.cli.celery_command"),
    *("celery.bin.worker", "celery.concurrency.prefork", "celery.worker.worker"),
)
# What measures has threads, which no fork takes along: each process begins with its own.
MEASURED = {name: os.environ[name] for name in ("AIRFLOW__METRICS__OTEL_ON",) if name in os.environ}


class Forked:
    """One of them, which is nobody's child that could wait for it."""

    def __init__(self, pid: int) -> None:
        self.pid, self._process = pid, psutil.Process(pid)

    def poll(self) -> int | None:
        """As of subprocess.Popen: None while it lives. How it ended nobody knows."""
        return None if self._process.is_running() else 1

    def wait(self) -> None:
        while self.poll() is None:
            time.sleep(0.1)


class Forks:
    """Starts them."""

    def __init__(self, asked: IO[str], answers: IO[str]) -> None:
        self._asked, self._answers = asked, answers

    def start(self, command: str, log: Path) -> Forked:
        """`airflow COMMAND`, whose output goes to the log."""
        print(json.dumps({"command": command, "log": str(log)}), file=self._asked, flush=True)
        return Forked(int(self._answers.readline()))


@contextmanager
def forks(home: Path, environment: dict[str, str]) -> Iterator[Forks]:
    """For an Airflow of this home and environment; its logs lie in the folder logs."""
    (home / "logs").mkdir(parents=True, exist_ok=True)
    read, write = os.pipe()
    command = [sys.executable, __file__, str(write)]
    with os.fdopen(read) as answers, (home / "logs" / "forked.log").open("w") as said:
        process = subprocess.Popen(
            command, cwd=home, env=environment, text=True,
            pass_fds=[write], stdin=subprocess.PIPE, stdout=said, stderr=said,
        )  # fmt: skip
        os.close(write)
        with process:
            assert process.stdin
            yield Forks(process.stdin, answers)


def become(command: str, log: str) -> None:
    """Be this command, in a session of its own."""
    os.environ.update(MEASURED)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for place, file in enumerate((nothing, output, output)):
        os.dup2(file, place)
    sys.argv = ["airflow", *command.split()]
    from airflow.__main__ import main

    main()


def serve(answers: int) -> None:
    for name in MEASURED:
        del os.environ[name]
    for module in LOADED:
        import_module(module)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # none of those that end waits for somebody to ask how
    for line in sys.stdin:
        asked = json.loads(line)
        if process := os.fork():
            os.write(answers, f"{process}\n".encode())
        else:
            os.close(answers)
            become(asked["command"], asked["log"])
            return


if __name__ == "__main__":
    serve(int(sys.argv[1]))
