"""Lookups while nights are published, beside lookups at rest: how long they take, and whether any answer is torn."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg2
import typer
from rich.console import Console

from benchmarks.made_night import SCORES, ids_of, make_night
from benchmarks.processes import cost_of, enter, own_environment, own_server
from tasks.settings import Settings

console = Console(stderr=True)
processes = get_context("spawn")

FIRST = date(2017, 6, 28)
BEST = 10
AT_REST_S = 20
QUERIES = (
    "select title from related_products(%s, 10)",
    "select related_title || ' ' || version_id from current_recommendations where product_id = %s and rank <= 10",
)


class Load(NamedTuple):
    """Who looks up what, and how often: lookups a second and client, 0 for one after the other."""

    clients: int
    rate: float
    url: str
    ids: Sequence[str]


class Seen(NamedTuple):
    """Milliseconds of every lookup, errors, and answers that are no whole list of one night."""

    milliseconds: npt.NDArray[np.float64]
    errors: int
    mixed: int

    @property
    def mean(self) -> float:
        """Milliseconds, rounded: what pgbench calls latency average."""
        return round(float(self.milliseconds.mean()), 2)

    def percentile(self, share: float) -> float:
        """Milliseconds, rounded."""
        return round(float(np.percentile(self.milliseconds, share)), 2)


def main(
    rows: Annotated[int, typer.Option(help="recommendations of a night", min=20)] = 1_000_000,
    publishes: Annotated[int, typer.Option(help="nights published meanwhile", min=1)] = 3,
    clients: Annotated[int, typer.Option(help="processes that look up", min=1)] = 2,
    rate: Annotated[float, typer.Option(help="lookups a second and client; 0: one after the other")] = 100,
) -> None:
    """Look products up at rest, then while nights are published, half by the function and half by the view.

    Ends with one JSON line. A lookup is timed from when it was due, so one that waits behind a slow one counts its
    wait. p99_ms and the means are of the time of the publishes; ratio_to_rest is of the means, with and without them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        with own_server(folder) as url:
            environment = own_environment(folder, DATABASE_URL=url)
            enter(environment)
            days = [FIRST + timedelta(days=number) for number in range(publishes + 1)]
            console.print(f"making {len(days)} nights of {rows:,} rows", style="dim")
            for day in days:
                make_night(day, rows // len(SCORES), Settings())
            _publish(days[0])
            load = Load(clients, rate, url.replace("+psycopg2", ""), ids_of(rows // len(SCORES)))
            rest = _look_up_during(lambda: time.sleep(AT_REST_S), load)
            busy = _look_up_during(lambda: _publish(*days[1:]), load)
    print(json.dumps({
        "errors": rest.errors + busy.errors, "mixed": rest.mixed + busy.mixed, "p99_ms": busy.percentile(99),
        "ratio_to_rest": _ratio(busy.mean, rest.mean), "ratio_of_p99": _ratio(busy.percentile(99), rest.percentile(99)),
        "milliseconds": {"mean": busy.mean, "p50": busy.percentile(50), "p95": busy.percentile(95)},
        "milliseconds_at_rest": {
            "mean": rest.mean, "p50": rest.percentile(50), "p95": rest.percentile(95), "p99": rest.percentile(99)
        },
        "rows": rows, "lookups": len(busy.milliseconds), "lookups_at_rest": len(rest.milliseconds),
    }))  # fmt: skip


def _ratio(busy: float, rest: float) -> float:
    return round(busy / rest, 2)


def _publish(*days: date) -> None:
    for day in days:
        cost_of(["-m", "tasks", "publish_recommendations", "--night", str(day)], dict(os.environ))


def _look_up_during(work: Callable[[], object], load: Load) -> Seen:
    """Clients look up until the work is done."""
    pipes = []
    for number in range(load.clients):
        ours, theirs = processes.Pipe()
        processes.Process(target=_client, args=(theirs, load, number), daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    try:
        work()
    finally:
        for pipe in pipes:
            pipe.send("stop")
    seen: list[Seen] = [pipe.recv() for pipe in pipes]
    milliseconds = np.concatenate([one.milliseconds for one in seen])
    return Seen(milliseconds, sum(one.errors for one in seen), sum(one.mixed for one in seen))


def _client(pipe: Connection, load: Load, number: int) -> None:
    """Look drawn products up until told to stop, each when it is due."""
    random = np.random.default_rng(number)
    connection = psycopg2.connect(load.url)
    connection.autocommit = True
    cursor = connection.cursor()
    seconds: list[float] = []
    errors = mixed = 0
    pipe.send("ready")
    due = time.perf_counter()
    while not pipe.poll():
        time.sleep(max(0.0, due - time.perf_counter()))
        try:
            cursor.execute(QUERIES[len(seconds) % 2], (load.ids[int(random.integers(len(load.ids)))],))
            mixed += not _is_whole(cursor.fetchall())
        except psycopg2.Error:
            errors += 1
        seconds.append(time.perf_counter() - due)
        due = due + 1 / load.rate if load.rate else time.perf_counter()
    connection.close()
    pipe.send(Seen(1000 * np.array(seconds), errors, mixed))


def _is_whole(answer: list[tuple[str]]) -> bool:
    """All ranks are there, and of one night: titles end with their night."""
    return len(answer) == BEST and len({row[0].partition(" as of ")[2] for row in answer}) == 1


if __name__ == "__main__":
    typer.run(main)
