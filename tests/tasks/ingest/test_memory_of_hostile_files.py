"""Small files that unpack into much: each is ingested or refused by name within MEMORY_LIMIT_GIB and half a GiB."""

import gzip
import json
import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.ingest.engine import count_rows, duckdb_engine, more_frequent_than
from tasks.settings import Settings
from tests.command_line import in_a_process
from tests.conftest import settings_of
from tests.installations import Installation
from tests.tasks.ingest.within_memory import held_bytes

GOOD = {"event_time": "2017-06-30 10:00:00", "session_id": "s", "product_id": "p"}
HEADER, ROW = b",".join(name.encode() for name in GOOD), b",".join(text.encode() for text in GOOD.values())
ENGINE_GIB = 0.25
LIMIT_GIB = float(os.environ.get("LIMIT_GIB", "0.75"))  # half of what is promised beyond the engine's
EQUAL_ROWS = int(os.environ.get("EQUAL_ROWS", "300000"))  # 30000000 where there are minutes, with all that is promised


def a_new_key_in_every_row(day: date) -> tuple[str, bytes]:
    rows = (GOOD | {"event_time": str(day), "session_id": f"s{i}", f"key{i}": 1} for i in range(8_000))
    return "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode()


def lines_that_are_no_text(day: date) -> tuple[str, bytes]:
    return "log.csv.gz", gzip.compress(csv_of(day, b"\xff" * 20 + b"\n", 1_000_000))


def an_array(day: date) -> tuple[str, bytes]:
    first = json.dumps(GOOD | {"event_time": str(day)}).encode()
    return "log.json.gz", gzip.compress(b"[" + first + b',\n{"a":{"b":1}}' * 700_000 + b"]")


def blank_lines(day: date) -> tuple[str, bytes]:
    return "log.csv.gz", gzip.compress(csv_of(day, b"\n", 50_000_000), 1)


def a_long_text_in_every_row(day: date) -> tuple[str, bytes]:
    """One text of a dictionary, a mebibyte long."""
    rows = 3_000
    texts = {"event_time": [str(day)] * rows, "session_id": [f"s{i}" for i in range(rows)], "product_id": ["p"] * rows}
    long = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["y" * (1 << 20)]))
    file = pa.BufferOutputStream()
    pq.write_table(pa.table(texts | {"note": long}), file, compression="zstd")
    return "log.parquet", file.getvalue().to_pybytes()


def equal_rows(day: date) -> tuple[str, bytes]:
    """All of one session and each a duplicate of the first, in some kilobytes."""
    row = {"event_time": str(day), "session_id": "s", "product_id": "p"}
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.array(np.zeros(EQUAL_ROWS, np.int32)), pa.array([text]))
        for name, text in row.items()
    }
    file = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), file, compression="zstd")
    return "log.parquet", file.getvalue().to_pybytes()


def long_names_of_columns(day: date) -> tuple[str, bytes]:
    names = b"n" * 30_000 + b"," + b"m" * 30_000
    lines = [HEADER + b"," + names, *[str(day).encode() + b",s%d,p,1,2" % i for i in range(20_000)]]
    return "log.csv.gz", gzip.compress(b"\n".join(lines))


def many_columns(day: date) -> tuple[str, bytes]:
    names = b",".join(b"c%d" % i for i in range(50_000))
    return "log.csv.gz", gzip.compress(HEADER + b"," + names + b"\n" + (ROW + b",1" * 50_000 + b"\n") * 50)


def csv_of(day: date, line: bytes, times: int) -> bytes:
    return HEADER + b"\n" + str(day).encode() + b",s,p\n" + line * times


KINDS: list[Callable[[date], tuple[str, bytes]]] = [
    a_new_key_in_every_row,
    lines_that_are_no_text,
    an_array,
    blank_lines,
    a_long_text_in_every_row,
    equal_rows,
    long_names_of_columns,
    many_columns,
]
DAYS = {kind.__name__: date(2017, 6, 1) + timedelta(days=day) for day, kind in enumerate(KINDS)}


class Outcome(NamedTuple):
    said: str
    peak_gib: float

    @property
    def counts(self) -> dict[str, float]:
        counts: dict[str, float] = json.loads(self.said)
        return counts


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, embedded_server: str, install: Callable[[str], Installation]
) -> dict[str, Outcome]:
    """All kinds are ingested by one command: what it imports is most of the time that a day takes."""
    installation = install(embedded_server)
    with pytest.MonkeyPatch.context() as environment:
        settings = settings_of(installation.folder, installation.database_url, environment)
        environment.setenv("MEMORY_LIMIT_GIB", str(ENGINE_GIB))
        environment.setenv("MAX_QUARANTINED_SHARE", "1")
        for kind in KINDS:
            deliver(kind, settings)
        ended = in_a_process("tests.tasks.ingest.within_memory", str(LIMIT_GIB), *map(str, DAYS.values()))
    found = {day: Outcome(said, peak) for day, said, peak in map(json.loads, ended.stdout.splitlines())}
    return {name: found.get(str(day), Outcome(ended.stderr[-2000:], 0)) for name, day in DAYS.items()}


def deliver(kind: Callable[[date], tuple[str, bytes]], settings: Settings) -> None:
    day = DAYS[kind.__name__]
    folder = Path(settings.click_log_url, f"date={day}")
    folder.mkdir(parents=True)
    name, content = kind(day)
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (a_new_key_in_every_row, {"accepted": 8_000}),
        (lines_that_are_no_text, {"accepted": 1, "unreadable_line": 1_000_000}),
        (an_array, {"accepted": 1, "empty_session": 700_000}),
        (blank_lines, {"accepted": 1, "rows_read": 1}),
        (a_long_text_in_every_row, {"accepted": 3_000}),
        (equal_rows, {"rows_read": EQUAL_ROWS, "accepted": 1, "duplicates": EQUAL_ROWS - 1}),
        (long_names_of_columns, {"accepted": 20_000}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_row_is_counted_within_the_limit(
    outcomes: dict[str, Outcome], kind: Callable[..., object], counts: dict[str, int]
) -> None:
    outcome = outcomes[kind.__name__]
    assert outcome.said.startswith("{"), outcome.said
    assert counts.items() <= outcome.counts.items()
    assert 0 < outcome.peak_gib < LIMIT_GIB


def test_the_hashes_of_rows_are_in_memory_once() -> None:
    """Beside what the engine holds: as a table of Arrow, too, 30 million of them took half a GiB, and twice."""
    few, many = 100_000, 8_000_000
    with duckdb_engine(ENGINE_GIB) as engine:
        for name, rows in (("few", few), ("many", many)):
            engine.raw_sql(f"create temp table {name} as select hash(42) as key from range({rows})")
        more_frequent_than(1, engine.table("few"))  # what it imports is there
        before = held_bytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        found = more_frequent_than(1, engine.table("many"))
        assert found is not None and count_rows(found) == 1
    assert held_bytes("VmHWM") - before < 12 * many


def test_a_file_of_too_many_columns_is_refused_by_name(outcomes: dict[str, Outcome]) -> None:
    said = outcomes["many_columns"].said
    assert "log.csv.gz must have at most 1,000 columns" in said and "but has 50,003" in said
