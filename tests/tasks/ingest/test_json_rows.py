"""Objects of JSON a line each, glued together or over several lines, whole and damaged."""

import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.ingest import json_rows, lines, text_files
from tests.tasks.ingest.test_text_files import OBJECT, Parsing, parse

__all__ = ["parse"]

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6) | st.sampled_from(
    ["}{", "}\n{", '"}']
)


@given(
    records=st.lists(
        st.fixed_dictionaries({"product_id": TEXTS, "x": st.lists(TEXTS, max_size=2)}), min_size=1, max_size=6
    ),
    layout=st.lists(
        st.tuples(st.sampled_from(["", "\n", " ", "\r\n", "\n\n"]), st.sampled_from([None, 1])), min_size=6, max_size=6
    ),
    block=st.integers(1, 200),
)
@hypothesis_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_objects_are_read_wherever_their_lines_end(
    parse: Parsing, monkeypatch, records: list[dict[str, object]], layout: list[tuple[str, int | None]], block: int
) -> None:
    monkeypatch.setattr(text_files, "BLOCK_BYTES", block)
    monkeypatch.setattr(text_files, "HEAD_BYTES", block)
    content, at = "", []
    for record, (end, indent) in zip(records, layout, strict=False):
        at.append(1 + content.count("\n"))
        content += json.dumps(record, indent=indent, ensure_ascii=False) + end
    rows = parse("log.json", content.encode(), must=())
    assert not parse.unreadable
    assert [row["line"] for row in rows] == at
    assert [row["product_id"] for row in rows] == [without_fraction(str(record["product_id"])) for record in records]


def without_fraction(text: str) -> str:
    whole, dot, zeros = text.partition(".")
    is_whole = whole.removeprefix("-").isdigit() and whole.isascii() and zeros and not zeros.strip("0")
    return whole if dot and is_whole else text


@pytest.mark.parametrize(
    ("content", "rows", "unreadable"),
    [
        (OBJECT + b'{"a": oops}' + OBJECT, [1, 1], [1]),
        (OBJECT + b"\n{\n" + OBJECT + b"\n" + OBJECT, [1, 3, 4], [2]),
        (OBJECT + b'\n{\n "a": 1,\n oops\n}\n' + OBJECT, [1, 6], [2]),
        (b'{"a": "\n' + OBJECT, [2], [1]),
        (OBJECT + b"17\n" + OBJECT, [1, 2], [1]),
        (OBJECT + b"\n" + OBJECT[:20], [1], [2]),
        (b'{\n"a": "\xff",\n"b": 1}\n' + OBJECT, [4], [1, 2, 3]),
    ],
)
def test_what_is_damaged_costs_itself(parse: Parsing, content: bytes, rows: list[int], unreadable: list[int]) -> None:
    assert [row["line"] for row in parse("log.json", content, must=())] == rows
    assert sorted(line for line, _ in parse.unreadable) == unreadable


def test_glued_objects_of_many_blocks(parse: Parsing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 1_000)
    for module in (lines, json_rows):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 300)
    long = OBJECT[:-1] + b', "x": "%s"}' % (b"x" * 5_000)
    content = OBJECT * 500 + long + OBJECT * 20 + OBJECT[:-1] + b"oops}" + OBJECT * 30 + b"\n" + OBJECT
    rows = parse("part-0", content)
    assert [row["line"] for row in rows] == [1] * 550 + [2]
    assert [line for line, _ in parse.unreadable] == [1, 1]


def test_lines_that_begin_objects_and_never_end_them_do_not_take_for_ever(parse: Parsing, monkeypatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_TRIES", 5)
    rows = parse("log.jsonl", b'{"a":\n' * 3_000 + OBJECT)
    assert len(rows) == 1 and len(parse.unreadable) == 3_000
