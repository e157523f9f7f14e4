"""Text logs as rows, with the line of each and of what is unreadable, beside pyarrow and json that keep none of it."""

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer
from rich.console import Console

from tasks.ingest.input_files import Bounds
from tasks.ingest.kinds import kind_of
from tasks.ingest.log_format import LogFormat
from tasks.ingest.text_files import text_to_parquet

console = Console(stderr=True)
NAMES = ("event_time", "session_id", "product_id", "event_type", "user_id", "price")


def main(rows: Annotated[int, typer.Option(help="rows of each file")] = 2_000_000) -> None:
    """Make a CSV, the same with every field in quotes, and JSON lines; ends with one JSON line.

    ratio: seconds of a processor for text_to_parquet over those of pyarrow's CSV reader or json.loads, each of which
    writes the same columns as Parquet.
    """
    result: dict[str, object] = {"rows": rows}
    with tempfile.TemporaryDirectory() as scratch:
        for name, line in (("plain.csv", _plain), ("quoted.csv", _quoted), ("log.jsonl", _json)):
            file, target = Path(scratch, name), Path(scratch, "rows.parquet")
            console.print(f"making {name}", style="dim")
            with file.open("w") as content:
                if file.suffix == ".csv":
                    content.write(",".join(NAMES) + "\n")
                content.writelines(map(line, _made(rows)))
            ours = _seconds(lambda: _ours(file, target, rows))  # noqa: B023 (called at once)
            rival = _seconds(lambda: (_with_json if file.suffix == ".jsonl" else _with_pyarrow)(file, target))  # noqa: B023
            result[name] = {"seconds": round(ours, 2), "rival": round(rival, 2), "ratio": round(ours / rival, 2)}
    print(json.dumps(result))


def _made(rows: int) -> Iterator[list[str]]:
    chance = random.Random(1)  # noqa: S311
    for place in range(rows):
        moment = f"2017-06-30 {place % 24:02}:{place % 60:02}:{place % 59:02}"
        product = f"p{chance.randrange(100_000)}"
        yield [moment, f"s{place // 5}", product, "view", f"u{place // 20}", "12.50"]


def _plain(row: list[str]) -> str:
    return ",".join(row) + "\n"


def _quoted(row: list[str]) -> str:
    return ",".join(f'"{text}"' for text in row) + "\n"


def _json(row: list[str]) -> str:
    return json.dumps(dict(zip(NAMES, row, strict=True))) + "\n"


def _seconds(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _ours(file: Path, target: Path, rows: int) -> None:
    parsed = text_to_parquet(file, kind_of(file, file.name), LogFormat(), target, Bounds(rows, 1 << 40))
    assert (parsed.rows, len(parsed.unreadable)) == (rows, 0)


def _with_pyarrow(file: Path, target: Path) -> None:
    types = pa_csv.ConvertOptions(column_types=dict.fromkeys(NAMES, pa.string()))
    pq.write_table(pa_csv.read_csv(file, pa_csv.ReadOptions(use_threads=False), convert_options=types), target)


def _with_json(file: Path, target: Path) -> None:
    with file.open() as content:
        pq.write_table(pa.Table.from_pylist([json.loads(line) for line in content]), target)


if __name__ == "__main__":
    typer.run(main)
