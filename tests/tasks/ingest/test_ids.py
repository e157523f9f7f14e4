"""The normal form of ids: the same in Python, pyarrow, both engines and PostgreSQL."""

import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.ingest.catalogue_format import CatalogueFormat
from tasks.ingest.engine import duckdb_engine
from tasks.ingest.ids import as_id, whole_number
from tasks.ingest.input_files import Bounds
from tasks.ingest.kinds import kind_of
from tasks.ingest.text_files import text_to_parquet
from tasks.operations.alike import as_ingested
from tasks.settings import Settings
from tasks.stores.database import transaction
from tasks.stores.rows import normal_id, normal_ids, rows_of_stored

IDS = [
    *("A-1", "A-1      ", "  A-1", "\tA-1 \t", "É-1", "E\u0301-1", "ﬁ", "K", "0012", "a b", "v", "f"),
    *(
        "1.0",
        "1041453.0",
        "1.041453E7",
        "1.0E5",
        "1E5",
        "1e5",
        "1.5E0",
        "3.1198570044123456e+16",
        "-1.0E2",
        "1e+30",
        "x1.0",
    ),
    *("31198570044123456789.0", "12", "-7", "1.1", "", "E", ".", "\u1100\u1161"),
]
TEXTS = st.text(st.sampled_from("aE e\u0301\t\u00e9\u00c50.+1\u1100\u1161v"), max_size=8)


def test_every_engine_has_the_same_form(settings: Settings) -> None:
    expected = [normal_id(text) for text in IDS]
    assert expected == [unicodedata.normalize("NFC", re.sub(r"^[ \t]+|[ \t]+$", "", text)) for text in IDS]
    assert normal_ids(pa.array(IDS)).to_pylist() == expected
    with duckdb_engine(0.5) as engine:
        rows = engine.create_table("ids", pa.table({"place": range(len(IDS)), "id": IDS}))
        for is_number in (False, True):
            found = rows.mutate(id=as_id(rows.id, engine.name, is_number=is_number)).order_by("place").to_pyarrow()
            assert found["id"].to_pylist() == [whole_number(text) if is_number else text for text in expected]
    with transaction(settings) as connection:
        query = sa.text(
            "select normal_id(id) from unnest(cast(:ids as text[])) with ordinality as t (id, place) order by place"
        )
        assert list(connection.scalars(query, {"ids": IDS})) == expected


@given(TEXTS)
@hypothesis_settings(max_examples=50)
def test_the_form_of_a_form_is_itself(text: str) -> None:
    once = normal_id(text)
    assert normal_id(once) == once == normal_ids(pa.array([text]))[0].as_py()
    assert whole_number(whole_number(once)) == whole_number(once)


@given(st.integers(-(2**62), 2**62))
@hypothesis_settings(max_examples=100)
def test_doubles_are_the_whole_numbers_that_they_stand_for(number: int) -> None:
    """As Python writes long ones, and Java; short ones are digits alone, or have a fraction."""
    digits, _, exponent = f"{float(number):.16E}".partition("E")
    bare = digits.rstrip("0")
    java = f"{bare}{'0' if bare.endswith('.') else ''}E{int(exponent)}"
    assert {whole_number(written) for written in (repr(float(number)), java)} == {str(int(float(number)))}


@pytest.mark.parametrize(
    ("ids", "is_number"),
    [
        (["1.041453E7", "10414530", ""], True),
        (["1041453.0", "2"], True),
        (["3.1198570044123456e+16", " 5 "], True),
        (["1E5", "12", "345"], False),  # hexadecimal, perhaps
        (["1.0", "1.1", "2.0"], False),  # numbers of versions
        (["1041453.0", "A-7"], False),
        (["1041453.0"] * 200 + ["undefined"], True),
        (["12", "13"], False),  # nothing to do
        (["", ""], False),
    ],
)
def test_a_column_of_a_file_says_whether_its_ids_are_numbers(ids: list[str], is_number: bool, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("product_id,title\n" + "".join(f"{id_},Mug\n" for id_ in ids))
    kind, target = kind_of(file, file.name), tmp_path / "a.parquet"
    parsed = text_to_parquet(file, kind, CatalogueFormat(), target, Bounds(10**6, 10**9))
    assert parsed.numbers.names == ({"product_id"} if is_number else set())
    assert pq.read_table(tmp_path / "a.parquet")["product_id"].to_pylist() == ids  # as written, until it is decided


def test_an_erased_user_is_looked_for_as_given_and_as_ingested() -> None:
    assert as_ingested("4711.0") == ["4711.0", "4711"]
    assert as_ingested("E\u0301 ") == ["E\u0301 ", "\u00c9"]
    assert as_ingested("1.041453E7") == ["1.041453E7", "10414530"]
    assert as_ingested("1E5") == ["1E5"]


def test_days_stored_before_ids_had_a_form_still_count() -> None:
    assert rows_of_stored(pa.chunked_array([["\u00c9", "b"]]), pa.array(["b  ", "E\u0301", "c"])).tolist() == [1, 0, -1]
