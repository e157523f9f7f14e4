"""Times of a log read by the ingest's own expressions, by spelling, beside DuckDB's cast, strptime and dateutil."""

import json
import time
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated

import dateutil.parser  # type: ignore[import-untyped]
import ibis
import typer
from ibis.backends import BaseBackend

from tasks.ingest.engine import duckdb_engine
from tasks.ingest.log_format import LogFormat
from tasks.ingest.times import DELIVERED, EVENT_TIME, TIME_TEXT, LocalTime, with_times

DAY = date(2017, 6, 30)
SPELLINGS = {"iso": "%Y-%m-%d %H:%M:%S", "log4j": "%Y-%m-%d %H:%M:%S,%g", "apache": "%d/%b/%Y:%H:%M:%S +0000"}
IN_PYTHON = 20_000  # texts, of which a row's time is told


def main(
    rows: Annotated[int, typer.Option(help="times of each spelling")] = 1_000_000,
    repeats: Annotated[int, typer.Option(help="of which the fastest counts")] = 5,
) -> None:
    """Read columns of texts with one thread; ends with one JSON line of processor microseconds a row.

    cast: DuckDB's own of the ISO texts; ratio_to_cast is that of our iso.
    """
    with duckdb_engine() as engine:
        engine.raw_sql("set threads = 1")
        found = {name: _fastest(_reading(engine, name, rows), repeats) / rows for name in SPELLINGS}
        found["time_format"] = _fastest(_reading(engine, "apache", rows, SPELLINGS["apache"]), repeats) / rows
        texts = engine.table("iso")
        found["cast"] = _fastest(
            texts.select(moment=texts[TIME_TEXT].try_cast("timestamp")).moment.max().execute, repeats
        )
        found["cast"] /= rows
        some = engine.table("apache").limit(IN_PYTHON).to_pyarrow()[TIME_TEXT].to_pylist()
        iso = engine.table("iso").limit(IN_PYTHON).to_pyarrow()[TIME_TEXT].to_pylist()
    found["python_strptime"] = _fastest(lambda: [datetime.strptime(text, SPELLINGS["apache"]) for text in some], 1)
    found["dateutil"] = _fastest(lambda: [dateutil.parser.parse(text) for text in iso], 1)
    for name in ("python_strptime", "dateutil"):
        found[name] /= IN_PYTHON
    shown = {name: round(1e6 * seconds, 3) for name, seconds in found.items()}
    print(json.dumps(shown | {"ratio_to_cast": round(found["iso"] / found["cast"], 2), "rows": rows}))


def _reading(engine: BaseBackend, name: str, rows: int, time_format: str | None = None) -> Callable[[], object]:
    moment = "timestamp '2017-06-30' + to_microseconds(i * 86400)"
    written = f"select strftime({moment}, '{SPELLINGS[name]}') as {TIME_TEXT}, {TIME_TEXT} as {DELIVERED}"
    engine.raw_sql(f"create or replace temp table {name} as {written} from range({rows}) as numbers (i)")
    times = with_times(engine.table(name), LogFormat(time_format=time_format), LocalTime.of(None, DAY, DAY))
    both: ibis.Table = times.aggregate(last=times[EVENT_TIME].max(), text=times[TIME_TEXT].max())
    read: Callable[[], object] = both.to_pyarrow
    return read


def _fastest(run: Callable[[], object], repeats: int) -> float:
    """Processor seconds."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    typer.run(main)
