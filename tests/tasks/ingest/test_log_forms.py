"""A day in every form at once: each row of each file is accepted, quarantined or a duplicate, with file and line."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.ingest.quarantine import QUARANTINE
from tasks.settings import Settings
from tests.tasks.steps.test_ingest_clicks import Row, deliver, ingest, refusal, stored

FORMAT = {
    "items": "products",
    "columns": {"product_id": ["products.id", "product_id"], "session_id": "context.session"},
    "event_types": {"order": "purchase", "scroll": None, "*": None},
}


def event(number: int, *products: object, **changes: object) -> Row:
    time, session = f"2017-06-30 10:00:{number:02}", {"session": f"s{number}"}
    ids = [{"id": product} for product in products]
    return {
        "event_time": time,
        "event_id": f"e{number}",
        "context": session,
        "event_type": "order",
        "products": ids,
    } | changes


@pytest.fixture
def counted(settings: Settings, tmp_path: Path) -> tuple[Settings, dict[str, float]]:
    (tmp_path / "format.json").write_text(json.dumps(FORMAT))
    events = [event(1, "a", "b"), event(2, "c"), event(1, "a", "b"), event(3, event_type="scroll"), event(4)]
    glued = "".join(map(json.dumps, events))
    deliver(settings, "hour=10/_SUCCESS", b"")
    deliver(settings, "hour=10/part-0", glued.encode())
    deliver(settings, "hour=11/part-0", b"\n".join([json.dumps(event(5, ["d"], "e")).encode(), b"{oops}"]))
    csv = ['"{""session"": ""s6""}";2017-06-30 11:00;order;"[{""id"": ""f""},\n{""id"": ""g""}]"']
    csv += ['"{""session"": ""s7""}";noon;order;"[{""id"": ""h""}]"\n']
    deliver(settings, "hour=12/export.csv", "\n".join(["context;event_time;event_type;products", *csv]).encode())
    typed = pa.Table.from_pylist([event(8, "i", "j"), event(9, event_type="page_ping")])
    deliver(settings, "hour=13/.part-0.crc", b"")
    pq.write_table(typed, deliver(settings, "hour=13/part-0", b""))
    settings = settings.model_copy(update={"log_format": tmp_path / "format.json", "max_quarantined_share": 0.4})
    return settings, ingest(settings)


def test_every_row_is_counted_once_and_told_where_it_was(counted: tuple[Settings, dict[str, float]]) -> None:
    settings, counts = counted
    assert counts == {
        "files": 4, "rows_read": 15, "accepted": 7, "quarantined": 6, "duplicates": 2,
        "other_event": 2, "missing_product": 1, "unreadable_line": 2, "unparsable_time": 1, "duplicate_event_id": 2,
    }  # fmt: skip
    assert sorted((row["session_id"], row["product_id"], row["event_id"]) for row in stored(settings)) == [
        ("s1", "a", "e1"), ("s1", "b", "e1#2"), ("s2", "c", "e2"), ("s6", "f", None), ("s6", "g", None),
        ("s8", "i", "e8"), ("s8", "j", "e8#2"),
    ]  # fmt: skip
    refused = sorted((row["rule"], row["file"], row["row"], row["event_type"]) for row in stored(settings, QUARANTINE))
    assert [row[:3] for row in refused] == [
        ("missing_product", "hour=10/part-0", 1),
        ("other_event", "hour=10/part-0", 1), ("other_event", "hour=13/part-0", 2),
        ("unparsable_time", "hour=12/export.csv", 4), ("unreadable_line", "hour=11/part-0", 1),
        ("unreadable_line", "hour=11/part-0", 2),
    ]  # fmt: skip


def test_json_text_is_no_product(settings: Settings) -> None:
    for place, text in enumerate(['["p1", "p2"]', '{"id": 1}', "[1]", "[1, 2]"]):
        deliver(settings, f"{place}.jsonl", [{"event_time": "2017-06-30", "session_id": "s", "product_id": text}])
    assert "unfit_id 4" in refusal(settings)
    deliver(
        settings,
        "4.jsonl",
        [{"event_time": "2017-06-30", "session_id": "s", "product_id": text} for text in ("[A]", "{b")],
    )
    assert ingest(settings.model_copy(update={"max_quarantined_share": 0.9}))["accepted"] == 2
