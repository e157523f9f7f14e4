"""Ingest one day after another, each in a process whose memory ends at a hard limit; prints what came of each."""

import json
import os
import resource
import sys

from tasks.errors import TaskError
from tasks.run import run
from tasks.settings import Settings
from tasks.steps import ingest_clicks  # noqa: F401 (what is imported now is in every process)


def ingest(day: str) -> str:
    try:
        return json.dumps(run("ingest_clicks", day, Settings()))
    except TaskError as refused:
        return str(refused)
    except MemoryError:
        return "MemoryError"


def held_bytes(what: str) -> int:
    """Of this process: VmRSS, now, or VmHWM, at most until now."""
    with open("/proc/self/status") as status:  # noqa: PTH123
        [line] = [line for line in status if line.startswith(what)]
    return int(line.split()[1]) << 10


def main(limit_gib: float, days: list[str]) -> None:
    for day in days:
        if not (child := os.fork()):
            limit = int(limit_gib * (1 << 30))
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
            print(json.dumps([day, ingest(day), held_bytes("VmHWM") / (1 << 30)]), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
