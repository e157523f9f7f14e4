"""Files made to break things: each is quarantined or refused by its name, and no day is left half done."""

import io
import os
import random
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.errors import BadInput, NotReady
from tasks.ingest import input_files
from tasks.ingest.quarantine import QUARANTINE
from tasks.settings import Settings
from tasks.steps import ingest_clicks as step
from tests.tasks.steps.test_ingest_clicks import (
    DAY,
    as_csv,
    as_json_lines,
    as_parquet,
    click,
    deliver,
    ingest,
    refusal,
    stored,
)  # fmt: skip

pytestmark = pytest.mark.slow

GOOD = [click(session_id=f"good{n}", product_id=f"p{n}", event_type="view") for n in range(20)]


@pytest.fixture
def before(settings: Settings) -> Settings:
    """The day was loaded once."""
    deliver(settings, "log.csv", [click(product_id="before")])
    ingest(settings)
    return settings


def untouched(settings: Settings) -> bool:
    return [row["product_id"] for row in stored(settings)] == ["before"]


def test_unreadable_lines_are_quarantined_with_their_line(before: Settings) -> None:
    lines = as_csv(GOOD).splitlines(keepends=True)
    lines[3:3] = [
        b'2017-06-30,"s,p,view\n',
        b"caf\xe9\n",
        b"2017-06-30,s,p\0,view\n",
        b"x" * 3_000_000 + b"\n",
        b"a,b\n",
    ]
    deliver(before, "log.csv", b"".join(lines))
    counts = ingest(before)
    assert (counts["accepted"], counts["unreadable_line"], counts["rows_read"]) == (20, 5, 25)
    rows = stored(before, QUARANTINE)
    assert [(row["rule"], row["file"], row["row"]) for row in rows] == [
        ("unreadable_line", "log.csv", line) for line in range(4, 9)
    ]
    assert [row["rest"].partition(":")[0] for row in rows] == [
        *("a quote never closes", "not UTF-8", "holds a zero byte", "longer than 1,048,576 bytes", "2 columns, not 4")
    ]


def test_a_link_out_of_the_folder_is_refused(before: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_bytes(as_csv(GOOD))
    folder = Path(before.click_log_url, f"date={DAY}")
    (folder / "link.csv").symlink_to(secret)
    assert f"{folder}/link.csv must lie in {folder}, but leads out of it" in refusal(before)
    assert untouched(before)


def test_a_day_whose_folder_is_a_link_out_of_the_log_is_refused(before: Settings, tmp_path: Path) -> None:
    folder = Path(before.click_log_url, f"date={DAY}")
    folder.symlink_to(folder.rename(tmp_path / "elsewhere"))
    assert f"{folder} must lie in {before.click_log_url}, but leads out of it" in refusal(before)
    assert untouched(before)


def test_links_within_the_log_are_followed(settings: Settings) -> None:
    folder = deliver(settings, "log.csv", GOOD).parent
    (folder / "again.csv").symlink_to("log.csv")
    folder.symlink_to(folder.rename(folder.with_name("delivered")))
    counts = ingest(settings)
    assert (counts["accepted"], counts["duplicates"]) == (20, 20)


@pytest.mark.parametrize("name", ["gone.csv", "folder.csv", "pipe.csv"])
def test_what_is_no_file_is_refused(before: Settings, name: str) -> None:
    path = Path(before.click_log_url, f"date={DAY}", name)
    {"gone": lambda: path.symlink_to("nowhere.csv"), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[path.stem]()
    assert f"{path} must be a file, but is none" in refusal(before)
    assert untouched(before)


@pytest.mark.parametrize(
    "name", ["*.csv", "[a-z].csv", "a?.csv", "..csv", "a;drop table.csv", "'\".csv", "a\nb.csv", "ü 漢.csv"]
)
def test_names_are_only_names(settings: Settings, name: str) -> None:
    deliver(settings, "b.parquet", GOOD[:10])
    deliver(settings, name, [*GOOD[10:], click(event_type="hover")])
    counts = ingest(settings)
    assert (counts["files"], counts["accepted"]) == (
        1 if name.startswith(".") else 2,
        10 if name.startswith(".") else 20,
    )
    if not name.startswith("."):
        assert [row["file"] for row in stored(settings, QUARANTINE)] == [name]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_grows_while_it_is_read(before: Settings, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    file = deliver(before, f"more{suffix}", GOOD)
    write = step.write_quarantine

    def write_while_more_arrives(*args: object) -> dict[str, int]:
        with file.open("ab") as log:
            log.write(b"2017-06-30,s,p,view\n")
        return write(*args)

    monkeypatch.setattr(step, "write_quarantine", write_while_more_arrives)
    with pytest.raises(NotReady, match=f"date={DAY}/more{suffix} must stay as it is while it is read, but it changed"):
        ingest(before)
    assert untouched(before)


WRITTEN_TIMES = {
    "2017-06-30 10:00:00": datetime(2017, 6, 30, 10),
    "2017-06-30T10:00": datetime(2017, 6, 30, 10),
    "2017-06-30T12:00:00.5+02:00": datetime(2017, 6, 30, 10, 0, 0, 500_000),
    "2017-06-30 05:30-0430": datetime(2017, 6, 30, 10),
    "2017-06-30 11:00:00+01": datetime(2017, 6, 30, 10),
    "2017-06-30T10:00:00.123456789Z": datetime(2017, 6, 30, 10, 0, 0, 123_456),
    " 2017-06-30 10:00:00 UTC ": datetime(2017, 6, 30, 10),
    "20170630": datetime(2017, 6, 30),
    "2017-06-30 1:00": datetime(2017, 6, 30, 1),
    **dict.fromkeys(["30.06.2017 10:00", "06/30/2017", "10:00", "1498816800"], None),
    **dict.fromkeys(
        ["2017-06-30 10:00:00 CEST", "2017-06-30T10:00:00+25", "2017-13-01", "0000-00-00", "now", "-"], None
    ),
    **dict.fromkeys(["2017-06-30 10:60:00", "2017-06-30 10:00:00+02:60", "99999-06-30"], None),
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_times_as_people_write_them(settings: Settings, suffix: str) -> None:
    rows = [click(event_time=time, product_id=place) for place, time in enumerate(WRITTEN_TIMES)]
    deliver(settings, f"log{suffix}", rows)
    settings = settings.model_copy(update={"max_quarantined_share": 1.0})
    ingest(settings)
    read = {int(row["product_id"]): row["event_time"] for row in stored(settings)}
    assert read == {place: time for place, time in enumerate(WRITTEN_TIMES.values()) if time}
    refused = [row["event_time"] for row in stored(settings, QUARANTINE)]
    assert refused == [time for time, read in WRITTEN_TIMES.items() if read is None]


def test_parquet_columns_of_every_plain_type_give_the_same_clicks(settings: Settings) -> None:
    moment = datetime(2017, 6, 30, 10)
    times = [pa.array([moment], pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")]
    times += [pa.array(["2017-06-30 10:00"]), pa.array(["2017-06-30 10:00"]).dictionary_encode()]
    ids = [pa.array([7], kind) for kind in (pa.int8(), pa.uint64(), pa.float64(), pa.float32(), pa.decimal128(9, 0))]
    ids += [pa.array(["7"], kind) for kind in (pa.string(), pa.large_string())]
    for number, id_ in enumerate(ids):
        time = times[number % len(times)]
        table = pa.table({"product_id": id_, "session_id": [number], "event_time": time})
        pq.write_table(table, deliver(settings, f"{number}.parquet", b""))
    ingest(settings)
    assert {(row["product_id"], row["event_time"]) for row in stored(settings)} == {("7", moment)}
    assert len(stored(settings)) == len(ids)


WHOLE = {".parquet": as_parquet(GOOD), ".csv": as_csv(GOOD), ".jsonl": as_json_lines(GOOD)}


@given(
    suffix=st.sampled_from(sorted(WHOLE)), seed=st.integers(0, 2**32), harm=st.sampled_from(["flip", "cut", "insert"])
)
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_harmed_file_is_counted_or_refused_by_name(settings: Settings, suffix: str, seed: int, harm: str) -> None:
    """Fuzzed: bytes changed, cut off or put in. Nothing but our own refusals, and every row accounted for."""
    chance, content = random.Random(seed), bytearray(WHOLE[suffix])
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(content))
        if harm == "flip":
            content[place] = chance.randrange(256)
        elif harm == "insert":
            content[place:place] = bytes(chance.choices(range(256), k=chance.randrange(1, 9)))
    if harm == "cut":
        content = content[: chance.randrange(len(content))]
    for file in Path(settings.click_log_url, f"date={DAY}").glob("harmed*"):
        file.unlink()
    deliver(settings, "log.csv", [click(product_id="before")])
    deliver(settings, f"harmed{suffix}", bytes(content))
    try:
        counts = ingest(settings)
    except BadInput as refused:
        assert f"harmed{suffix}" in str(refused) or "of the rows of 2017-06-30 may be refused" in str(refused)
        return
    assert counts["rows_read"] == counts["accepted"] + counts["quarantined"] + counts["duplicates"]
    assert counts["accepted"] == len(stored(settings)) + counts.get("late", 0)


def test_a_parquet_file_beyond_a_bound_is_refused_by_name(before: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.table({name: pa.array([text] * 3_000).dictionary_encode() for name, text in click().items()})
    file = deliver(before, "many.parquet", b"")
    pq.write_table(rows, file)
    few = before.model_copy(update={"max_file_rows": 2_999})
    assert "date=2017-06-30/many.parquet must have at most MAX_FILE_ROWS rows, 2,999, but has 3,000" in refusal(few)
    small = before.model_copy(update={"max_file_gib": 1e-7})
    assert "date=2017-06-30/many.parquet must have at most MAX_FILE_GIB when it is unpacked" in refusal(small)
    monkeypatch.setattr(input_files, "MAX_CHUNK_BYTES", 10)
    assert "many.parquet must have at most 10 bytes of a column in a row group, but has" in refusal(before)
    pq.write_table(pa.table({f"c{i}": [1] for i in range(1001)}), file)
    assert "many.parquet must have at most 1,000 columns" in refusal(before)
    assert untouched(before)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_long_texts_are_cut_and_long_ids_refused(settings: Settings, suffix: str) -> None:
    notes = [{"session_id": f"s{i}", "event_type": "hover", "note": "ü" * 9_000 + str(i)} for i in range(2)]
    same = [{"session_id": "s", "note": "n" * 9_000 + end} for end in ("a", "b", "b")]
    long = [{name: "x" * 5_000} for name in ("session_id", "user_id", "event_id")]
    rows = [click(note="", user_id="u", event_id="", event_type="view") | row for row in [*notes, *same, *long]]
    deliver(settings, f"log{suffix}", rows)
    counts = ingest(settings.model_copy(update={"max_quarantined_share": 1.0}))
    assert (counts["unknown_event_type"], counts["unfit_id"]) == (2, 3)
    assert (counts["accepted"], counts["duplicate_row"]) == (2, 1)  # different beyond what is kept of them
    kept = [row["rest"] for row in stored(settings, QUARANTINE) if row["rest"]]
    assert len(set(kept)) == 2
    assert all(rest.startswith("note=ü") and " MD5 " in rest and len(rest) < 5_000 for rest in kept)


def test_parquet_with_bytes_that_are_no_text(before: Settings) -> None:
    broken = pa.array([b"\xff\xfe"]).cast(pa.binary()).view(pa.string())
    table = pa.table({"product_id": broken, "session_id": ["s"], "event_time": ["2017-06-30"]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    deliver(before, "broken.parquet", buffer.getvalue())
    assert "date=2017-06-30/broken.parquet does not read as .parquet" in refusal(before)
    assert untouched(before)
