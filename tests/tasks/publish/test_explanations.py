"""From a night's reasons to explain_recommendation()."""

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from eclare.arrays.topk import PAD
from eclare.related.explain import Reasons
from eclare.related.features import SCORE_PARTS
from tasks.publish.explanations import FILE, read_reasons, write_reasons
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tests.nights import (
    RELATED,
    TABLES,
    TITLES,
    make_night,
    rows_of,
    scanned_by,
    tables_expected,
    tables_of_versions,
    with_lenient_gate,
)

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

IDS = np.array(list(TITLES))
EXPLAINED = "select * from explain_recommendation(:product, :related)"
# '1' recommends '2' (met in seven sessions, the last three days ago) and '3' (never met, filled up).
REASONS = Reasons(
    np.array([0, 0], np.int32), np.array([1, 2], np.int32), np.array([7, 0], np.float32), np.array([3, -1], np.int32),
    ("text", "graph", "refinement"), np.array([[0.25, 0.25, 0.5], [0.5, 0.5, 0]], np.float32),
    np.array([[2, 3], [1, PAD]], np.int32), np.array([[0.75, 0.125], [0.5, 0]], np.float32),
    np.array([[0.5, 0.125, 0, 0, 0.25, 0.05, -0.025], [np.nan] * 7], np.float32),
)  # fmt: skip


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


def publish_with_reasons(settings, day="2017-06-30", related=RELATED, titles=TITLES):
    night, storage = make_night(day, settings, related, titles), Storage(settings.storage_url)
    made = storage.read(night.artefact("recommendations"))
    inputs = [storage.read(night.artefact(name)) for name in ("interactions", "model")]
    with storage.open(made) as old, storage.write(night.artefact("recommendations"), made_from=inputs) as (folder, _):
        for name in ("recommendations.npz", "lists.json", "histories.parquet"):
            (folder / name).write_bytes((old / name).read_bytes())
        write_reasons([REASONS], np.array(list(titles)), night.day, folder)
    return publish_recommendations(night, settings)


def test_a_recommended_pair_is_explained(settings):
    publish_with_reasons(settings)
    (met,) = rows_of(settings, EXPLAINED, product="1", related="2")
    assert met == (
        TITLES["1"], TITLES["2"], 1, pytest.approx(0.9), "model", 7, date(2017, 6, 27), {"3": 0.75, "4": 0.125},
        0.25, 0.25, 0.5, 0.5, 0.125, 0, 0, 0.25, pytest.approx(0.05), pytest.approx(-0.025),
        "7 sessions contain both products, the last on 2017-06-27. "
        "The largest part of its score comes from sessions with both.",
    )  # fmt: skip
    (filled,) = rows_of(settings, EXPLAINED, product="1", related="3")
    assert filled[5:8] == (0, None, {"2": 0.5})
    assert filled[11:18] == (None,) * 7
    assert filled[-1] == "No session contains both products."
    (beyond,) = rows_of(settings, EXPLAINED, product="4", related="3")
    assert beyond[5:18] == (None,) * 13
    assert beyond[-1] == "Only the first ranks are explained (EXPLAINED_RANKS)."


PARTS = {
    "co_clicks": "sessions with both", "popularity": "popularity", "like_products": "sessions of like products",
    "titles": "words that both titles share", "model": "the model", "rules": "the rules of the list",
}  # fmt: skip


@pytest.mark.parametrize("source", ["model", "co-click", "cold"])
def test_the_sentence_names_the_heaviest_part_whatever_the_source(settings, source):
    publish_with_reasons(settings)
    random = np.random.default_rng(0)
    with transaction(settings) as connection:
        connection.execute(sa.text("update recommendation set source = :source"), {"source": source})
    for _ in range(12):
        values = dict(zip(SCORE_PARTS, np.round(random.normal(size=len(SCORE_PARTS)), 3).tolist(), strict=True))
        with transaction(settings) as connection:
            given = ", ".join(f"score_{part} = {value}" for part, value in values.items())
            connection.execute(sa.text(f"update recommendation_reason set {given}"))
        (row,) = rows_of(settings, EXPLAINED, product="1", related="2")
        heaviest = max(PARTS, key=lambda part: values[part])
        expected = f"The largest part of its score comes from {PARTS[heaviest]}."
        assert row[-1].endswith(
            expected if values[heaviest] > 0 else "No part of its score speaks for it; the others had less."
        )


@pytest.mark.parametrize("product", ["3", "no such", "'; drop table recommendation_reason; --", "1' or '1'='1", ""])
def test_what_is_not_recommended_is_not_explained(settings, product):
    publish_with_reasons(settings)
    assert rows_of(settings, EXPLAINED, product=product, related="2") == []
    assert rows_of(settings, "select count(*) from recommendation_reason") == [(2,)]


def test_a_night_without_reasons_is_published_and_says_so(settings):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    (row,) = rows_of(settings, EXPLAINED, product="1", related="2")
    assert row[-1].startswith("Only the first ranks")
    assert tables_of_versions(settings) == tables_expected(settings)


def test_the_parts_of_a_score_are_the_columns_of_the_table(settings):
    columns = """select column_name from information_schema.columns
        where table_name = 'recommendation_reason' and table_schema = current_schema() and column_name like 'score%'"""
    assert {name for (name,) in rows_of(settings, columns)} == {f"score_{part}" for part in SCORE_PARTS}


def test_one_partition_is_read(settings):
    for day in ("2017-06-28", "2017-06-29", "2017-06-30"):
        publish_with_reasons(settings, day)
    touched = set(scanned_by(settings, EXPLAINED, product="1", related="2"))
    assert touched == {f"{table}_3" for table in TABLES} | {"blocked_product", "pair_rule"}


def test_reasons_are_read_back_as_written(settings, tmp_path):
    write_reasons([REASONS], IDS, date(2017, 6, 30), tmp_path)
    written = read_reasons(tmp_path).read_all()
    assert written.equals(pq.read_table(tmp_path / FILE))
    assert written["last_day"].to_pylist() == [date(2017, 6, 27), None]
    assert len(read_reasons(tmp_path / "elsewhere").read_all()) == 0
    fewer = replace(REASONS, views=("text", "refinement"), attention_EZ=REASONS.attention_EZ[:, :2])
    write_reasons([fewer], IDS, date(2017, 6, 30), tmp_path)
    assert read_reasons(tmp_path).read_all()["attention_graph"].null_count == 2
