"""DuckDB and Spark run the same expressions: the same days, compared row by row."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eclare.related.daily_cooccurrence import Weighting
from tasks.ingest import reading
from tasks.ingest.clicks import OWN, Piece
from tasks.ingest.engine import ROW, open_engine
from tasks.ingest.log_format import COLUMNS, LIST_EVENTS, LogFormat
from tasks.ingest.order_level import FROM_ORDER
from tasks.ingest.quarantine import QUARANTINE
from tasks.ingest.reading import open_log, open_rows
from tasks.ingest.session_groups import count_groups
from tasks.night import Night
from tasks.operations.erase import erase
from tasks.settings import ROOT, Settings
from tasks.steps.aggregate_clicks import aggregate_clicks
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.artefacts import Storage
from tests.nights import make_night, rows_of, with_lenient_gate
from tests.tasks.ingest.test_order_level import ORDERS

pytest.importorskip("pyspark", reason="pyspark is not installed")
pytestmark = pytest.mark.slow
DAYS = [date(2017, 6, 29), date(2017, 6, 30)]


def dirty_day(day: date, rows: int) -> pa.Table:
    """Clicks with every kind of dirt that a typed file can hold, a tenth of them delivered twice."""
    chance = random.Random(day.toordinal())
    made = []
    for place in range(rows):
        at = datetime(day.year, day.month, day.day) + timedelta(seconds=chance.randrange(86_400), microseconds=250)
        at += timedelta(days=chance.choice([0] * 20 + [-1, -2, -3, 1]))
        product = chance.randrange(40)
        made.append(
            {
                "event_time": None if chance.random() < 0.02 else at,
                "session_id": chance.choice([" ", None])
                if chance.random() < 0.03
                else f"s{chance.randrange(rows // 4)}",
                "product_id": None if chance.random() < 0.02 else float(product),
                "event_id": f"{day}-{place}" if chance.random() < 0.5 else None,
                "user_id": chance.randrange(50),
                "event_type": chance.choice(["view", "view", "add_to_cart", "purchase", None, "hover", *LIST_EVENTS]),
                "source_product_id": str(chance.randrange(40)) if chance.random() < 0.3 else None,
                "list_version_id": float(chance.choice([1, 1, 1, 9])),
                "quantity": chance.randrange(3),
            }
        )
    made += [made[chance.randrange(rows)] for _ in range(rows // 10)]
    made += [{"event_time": at, "session_id": "bot", "product_id": 1.0, "quantity": n} for n in range(30)]
    return pa.Table.from_pylist(made, pa.Table.from_pylist(made[:rows]).schema)


TEXT = (
    "event_time,session_id,product_id,event_type\n"
    "2017-06-30T10:00:00Z,text,1041453.0,view\n2017-06-30 12:00+02:00,text,2,purchase\n2017-06-30,text,3,\n"
    "2017-06-31 10:00:00,text,4,\nnoon,text,5,\n2017-06-30 10:00:00.1234567+0130,text,6,view\nragged\n"
)

SPELLED = (
    "event_time,session_id,product_id,user_id,event_type\n"
    "30/Jun/2017:10:00:00 +0000,v f,1.041453E7,E\u0301,view\n2017-06-30 9:05:00,v f,10414530,\u00c9 ,view\n"
    "20170630T110000Z,v f,10414531.0,f ,view\n30-JUN-17 01.00.00.5 PM,\tv f ,3.119857004412346e+16,u,view\n"
    '"Fri, 30 Jun 2017 14:00:00 GMT",v f,7,u,view\n2017-06-30t10:00:00.123456789012z,v f,8,u,view\n'
    '"2017-06-30 10:00:00,123",v f,9,u,view\n03/04/2017 10:00,v f,9,u,view\n2017-07-01 02:00,v f,9,u,view\n'
)


WITHOUT_SESSIONS = "event_time,product_id,user_id\n2017-06-30 07:00,,\n" + "".join(
    f"2017-06-30 {minute // 60:02}:{minute % 60:02},{minute % 40},{minute % 5}\n" for minute in range(0, 1440, 9)
)


OF_ITEMS = {"items": "bought", "columns": {"product_id": ["bought.id", "product_id"]}, "event_types": {"*": None}}


def deliver_items(folder: Path) -> None:
    """Orders of several products, as JSON and as Parquet, one of a type that is left out."""
    orders = [
        {"event_time": f"2017-06-30 0{hour}:00", "user_id": f"u{hour}", "event_id": f"e{hour}", "event_type": kind,
         "bought": [{"id": f"p{hour}"}, {"id": "p0"}]}
        for hour, kind in enumerate(("view", "ping", None, "purchase"))
    ]  # fmt: skip
    (folder / "hour=00").mkdir()
    (folder / "hour=00" / "part-0").write_text("".join(map(json.dumps, orders)))
    pq.write_table(
        pa.Table.from_pylist([order | {"filename": b"x"} for order in orders[2:]]), folder / "hour=00" / "part-1"
    )


@pytest.fixture(autouse=True)
def spark_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(Path(__file__).with_name("spark")))


@pytest.fixture
def log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for day in DAYS:
        folder = Path(settings.click_log_url, f"date={day}")
        folder.mkdir(parents=True)
        pq.write_table(dirty_day(day, 400), folder / "log.parquet")
    (folder / "log.csv").write_text(TEXT)
    (folder / "spelled.csv").write_text(SPELLED)
    related = {str(page): [str((page + step) % 40) for step in (1, 2, 3)] for page in range(40)}
    night = make_night("2017-06-28", settings, related, {page: page for page in related})
    publish_recommendations(night, with_lenient_gate(settings, monkeypatch))
    return settings.model_copy(update={"bot_session_clicks": 25, "pair_minutes": 300})


def results(settings: Settings) -> Iterator[tuple[str, object]]:
    """Everything the two steps make of the days, in an order of its own."""
    storage = Storage(settings.storage_url)
    with storage.write(Night.catalogue(DAYS[0])) as (folder, _):
        pq.write_table(pa.table({"product_id": sorted(str(n) for n in range(30))}), folder / "products.parquet")
    for day in DAYS:
        yield f"counts of {day}", ingest_clicks(Night.of(day, settings), settings)
        yield f"aggregate counts of {day}", aggregate_clicks(Night.of(day, settings), settings)
    for day in DAYS:
        with storage.open(storage.read(Night.clicks(day))) as folder:
            for part in sorted(part.relative_to(folder) for part in {file.parent for file in folder.glob("**/part-*")}):
                rows = pq.read_table(folder / part, partitioning=None).to_pylist()
                for row in rows:
                    row["event_time"] = row["event_time"].replace(tzinfo=None)
                yield f"{part} of {day}", sorted([str(row[name]) for name in COLUMNS] for row in rows)
            yield f"quarantine of {day}", pq.read_table(folder / QUARANTINE).to_pylist()
        with storage.open(storage.read(Night.aggregate(day))) as folder:
            for file in sorted(folder.glob("*.parquet")):
                yield f"{file.name} of {day}", pq.read_table(file).to_pylist()

    yield (
        "clicks on lists",
        sorted(rows_of(settings, "select day, rank, source, sessions, shown, clicked from list_click")),
    )


def test_spark_gives_what_duckdb_gives(log: Settings) -> None:
    expected = dict(results(log))
    assert expected[f"counts of {DAYS[-1]}"].keys() >= {
        *("late", "too_late", "after_its_day", "missing_time", "unparsable_time", "empty_session", "missing_product"),
        *("unknown_event_type", "duplicate_event_id", "duplicate_row", "bot_session", "product_not_in_catalogue"),
        *("ambiguous_time", "early"),
        *("unreadable_line", "unknown_version", "missing_source_product", "recommendation_event"),
    }
    spelled = [row for row in expected[f"clicks of {DAYS[-1]}"] if row[1] == "v f"]
    assert sorted(row[2] for row in spelled) == ["10414530", "10414530", "10414531", "31198570044123460", "7", "8", "9"]
    assert {row[4] for row in spelled} == {"\u00c9", "f", "u"}
    assert sum(row[-1] for row in expected["clicks on lists"])
    assert expected[f"together.parquet of {DAYS[-1]}"]
    assert expected[f"followed.parquet of {DAYS[-1]}"]
    found = dict(results(log.model_copy(update={"engine": "spark", "storage_url": f"{log.storage_url}-of-spark"})))
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert found[name] == rows, name


def test_few_rows_are_kept_and_many_read_again_with_one_result(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = dict(results(log))
    monkeypatch.setattr(reading, "FEW_ROWS", 0)
    read_again = dict(results(log.model_copy(update={"storage_url": f"{log.storage_url}-read-again"})))
    assert read_again.keys() == kept.keys()
    for name, rows in kept.items():
        assert read_again[name] == rows, name


def test_spark_makes_the_sessions_of_a_log_that_has_none_without_erased_users(
    settings: Settings, tmp_path: Path
) -> None:
    """A day alone: what makes and leaves out rows lengthens each of Spark's plans."""
    folder, night, found = Path(settings.click_log_url, f"date={DAYS[-1]}"), Night.of(str(DAYS[-1]), settings), []
    folder.mkdir(parents=True)
    (folder / "log.csv").write_text(WITHOUT_SESSIONS)
    deliver_items(folder)
    (tmp_path / "format.json").write_text(json.dumps(OF_ITEMS))
    settings = settings.model_copy(update={"log_format": tmp_path / "format.json"})
    erase("3", "asked", settings, missing_ok=True)
    for engine in ("duckdb", "spark"):
        of_engine = settings.model_copy(update={"engine": engine, "storage_url": f"{settings.storage_url}-of-{engine}"})
        counts, storage = ingest_clicks(night, of_engine), Storage(of_engine.storage_url)
        with storage.open(storage.read(Night.clicks(DAYS[-1]))) as clicks:
            rows = pq.read_table(clicks / OWN, partitioning=None).to_pylist()
        found.append((counts, sorted([row["session_id"], row["product_id"]] for row in rows)))
    assert found[0] == found[1]
    assert found[0][0]["erased_user"] == 32 and found[0][0]["other_event"] == 2
    assert found[0][0]["duplicate_event_id"] == 4 and len({session for session, _ in found[0][1]}) > 20


def test_spark_gives_further_rows_of_an_order_what_duckdb_gives(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text('{"preset": "shopify"}')
    folder, log_format, found = (
        Path(settings.click_log_url, f"date={DAYS[-1]}"),
        LogFormat.read(tmp_path / "format.json"),
        [],
    )
    folder.mkdir(parents=True)
    (folder / "orders.csv").write_text(ORDERS)
    for name in ("duckdb", "spark"):
        there = settings.model_copy(update={"engine": name})
        with open_log(DAYS[-1], log_format, there) as log, open_engine(there) as engine:
            rows = open_rows(engine, log, log_format).select(ROW, "time_text", "user_id", FROM_ORDER).to_pyarrow()
            found.append(sorted(map(str, rows.to_pylist())))
    assert found[0] == found[1]


def test_a_machine_without_java_is_told_what_to_do(settings: Settings) -> None:
    without = os.environ | {"JAVA_HOME": str(settings.state_folder), "ENGINE": "spark"}
    code = "from tasks.ingest.engine import open_engine; from tasks.settings import Settings; "
    code += "open_engine(Settings(_env_file=None)).__enter__()"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=without, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert re.search(r"NotReady: ENGINE=spark needs Java 17, .*JAVA_GATEWAY_EXITED.*IMAGE_TARGET=spark", ended.stderr)


def test_spark_numbers_many_products(settings: Settings) -> None:
    """More than its 32-bit integers could hold the pairs of."""
    count, day = 24_000, DAYS[-1]
    ids = [f"p{number:05d}" for number in range(count)]
    clicks = {
        "event_time": [datetime(day.year, day.month, day.day)] * count,
        "session_id": [f"s{number // 2}" for number in range(count)],
        "product_id": ids,
        "source_product_id": [None if number % 4 else ids[-1 - number] for number in range(count)],
    }
    file = Path(settings.click_log_url, f"date={day}", "log.parquet")
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table(clicks), file)
    found = {}
    for engine in ("duckdb", "spark"):
        there = settings.model_copy(update={"engine": engine, "storage_url": f"{settings.storage_url}-{engine}"})
        ingest_clicks(Night.of(day, there), there)
        aggregate_clicks(Night.of(day, there), there)
        found[engine] = Storage(there.storage_url).read(Night.aggregate(day))
    assert found["spark"].counts["pairs"] == count // 4 + count // 4
    assert found["spark"].hash == found["duckdb"].hash


def test_spark_counts_groups_of_sessions_as_duckdb_does(settings: Settings) -> None:
    chance, storage, pieces = random.Random(1), Storage(settings.storage_url), []
    schema = pa.schema([(name, pa.timestamp("us") if name == "event_time" else pa.string()) for name in COLUMNS])
    for day in DAYS:
        clicks = [
            {
                "event_time": datetime(day.year, day.month, day.day, chance.randrange(24)),
                "session_id": f"s{chance.randrange(100)}",
                "product_id": str(chance.randrange(40)),
                "event_type": chance.choice(["view", "purchase"]),
                "source_product_id": str(chance.randrange(40)) if chance.random() < 0.3 else None,
            }
            for _ in range(400)
        ]
        with storage.write(Night.clicks(day)) as (folder, _):
            (folder / OWN).mkdir()
            pq.write_table(pa.Table.from_pylist(clicks, schema), folder / OWN / "part-0.parquet")
        pieces.append(Piece(storage.read(Night.clicks(day)), OWN))
    ids, found = pa.chunked_array([sorted(str(number) for number in range(30))]), {}
    for engine in ("duckdb", "spark"):
        there = settings.model_copy(update={"engine": engine})
        groups = count_groups(pieces, ids, storage, there, Weighting(2, (1.0, 1.0, 1.0)))
        matrices = [matrix.toarray().tolist() for matrix in (groups.shared_EG, groups.held_PG)]
        found[engine] = groups.key_E.tolist(), matrices, groups.sessions_G.tolist()
    assert found["spark"] == found["duckdb"]
    assert sum(found["duckdb"][2]) > 150 and len(found["duckdb"][0]) > 100
