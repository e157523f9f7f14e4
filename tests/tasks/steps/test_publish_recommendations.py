import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.publish import versions
from tasks.publish.gate import RULES
from tasks.settings import ROOT, Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.artefacts import Storage
from tasks.stores.database import VERSION_TABLE, database_engine, transaction
from tests.nights import (
    LIVE,
    OTHER,
    RELATED,
    TITLES,
    TRAINED_CONFIG_HASH,
    expected,
    make_night,
    rows_of,
    scanned_by,
    tables_expected,
    tables_of_versions,
    with_lenient_gate,
)

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

TITLE = strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


def test_what_is_published_is_read_back_with_titles_night_and_scores(settings):
    night = make_night("2017-06-30", settings, brand=["Acme", "", None, None])
    counts = publish_recommendations(night, settings)
    assert counts == {
        "version": counts["version"],
        "rows": 5,
        "products": 4,
        "new": 1,
        "live": 1,
        "versions_dropped": 0,
        "warnings": 0,
    }
    assert rows_of(settings, LIVE) == expected(RELATED)
    shown = rows_of(settings, "select * from current_recommendations where product_id = '1' order by rank")
    assert shown == [
        ("1", TITLES["1"], 1, "2", TITLES["2"], pytest.approx(0.9), "model", night.day, counts["version"]),
        ("1", TITLES["1"], 2, "3", TITLES["3"], pytest.approx(0.5), "model", night.day, counts["version"]),
    ]
    brands = "select brand from recommended_product order by product_id"
    assert rows_of(settings, brands) == [("Acme",), ("",), (None,), (None,)]
    histories = "select sessions, segment from recommended_product order by product_id"
    assert rows_of(settings, histories) == [(40, "head"), (20, "torso"), (10, "tail"), (0, "cold")]
    described = rows_of(settings, "select status, row_count, product_count, model_hash from recommendation_version")
    model = Storage(settings.storage_url).read(night.artefact("model"))
    assert described == [("live", 5, 3, model.hash)]


def test_rows_are_made_and_sent_a_few_products_at_a_time(settings, monkeypatch):
    sizes, original = [], versions.copy_rows

    def watched(connection: sa.Connection, table: str, rows: pa.RecordBatchReader) -> None:
        def batches() -> Iterator[pa.RecordBatch]:
            for batch in rows:
                sizes.append(batch.num_rows)
                yield batch

        original(connection, table, pa.RecordBatchReader.from_batches(rows.schema, batches()))

    monkeypatch.setattr(versions, "copy_rows", watched)
    monkeypatch.setattr("tasks.steps.publish_recommendations.ROWS_PER_COPY", 3)  # a list of as many places
    publish_recommendations(make_night("2017-06-30", settings), settings)
    assert rows_of(settings, LIVE) == expected(RELATED)
    assert sizes == [2, 1, 0, 2, len(TITLES), 8]  # the lists of RELATED, the products, no reasons, words of the titles


def test_a_version_keeps_the_config_and_the_code_that_trained_its_model(settings, monkeypatch, tmp_path):
    with monkeypatch.context() as trained:
        trained.setattr("tasks.stores.artefacts.code_version", lambda: "v1-trained")
        night = make_night("2017-06-30", settings)
    changed = tmp_path / "eclare.json"
    changed.write_text('{"seed": 7}')
    monkeypatch.setattr("tasks.steps.publish_recommendations.code_version", lambda: "v2-published")
    publish_recommendations(night, settings.model_copy(update={"eclare_config": changed}))
    query = "select config_hash, model_code_version, code_version from recommendation_version"
    assert rows_of(settings, query) == [(TRAINED_CONFIG_HASH, "v1-trained", "v2-published")]


def test_a_model_that_does_not_say_which_config_trained_it_is_refused(settings):
    publish_recommendations(make_night("2017-06-29", settings), settings)
    night = make_night("2017-06-30", settings, OTHER, sources={})
    with pytest.raises(BadInput, match=r"model must carry the hash of the config.*run train_model --night 2017-06-30"):
        publish_recommendations(night, settings)
    assert rows_of(settings, LIVE) == expected(RELATED)
    assert rows_of(settings, "select count(*) from recommendation_version") == [(1,)]


def test_a_version_is_judged_once(settings):
    verdicts = "select rule, count(*) from gate_verdict where version_id = :id group by rule order by rule"
    every_rule = [(name, 1) for name in sorted(rule.name for rule in RULES)]
    publish_recommendations(make_night("2017-06-29", settings), settings)
    with pytest.raises(BadInput, match="itself: must be at most 0, is 1"):
        publish_recommendations(make_night("2017-06-30", settings, {"1": ["2", "1"]}), settings)
    for version in (1, 2):
        assert rows_of(settings, verdicts, id=version) == every_rule
    compared = "select version_id, rule, reason from gate_verdict where rule in ('churn', 'live_psp') order by 1, 2"
    assert rows_of(settings, compared) == [
        (1, "churn", "no live version to compare with"),
        (1, "live_psp", "no live version to compare with"),
        (2, "churn", "must be at most 1, but could not be measured"),
        (2, "live_psp", "must be at least 0.7, is 1.1"),
    ]


def test_related_products_gives_the_k_best_of_the_live_version(settings):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    assert rows_of(settings, "select * from related_products('4')") == [
        (1, "3", TITLES["3"], pytest.approx(0.9), "model"),
        (2, "2", TITLES["2"], pytest.approx(0.5), "model"),
    ]
    assert [row[1] for row in rows_of(settings, "select * from related_products('4', k => 1)")] == ["3"]
    assert rows_of(settings, "select * from related_products('no such product', 5)") == []


@given(titles=strategies.lists(TITLE, min_size=2, max_size=8))
@hypothesis_settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_title_comes_back_as_it_was(settings, titles):
    catalogue = {str(number): title for number, title in enumerate(titles)}
    related = {product: [str((int(product) + 1) % len(titles))] for product in catalogue}
    publish_recommendations(make_night("2017-06-30", settings, related, catalogue), settings)
    assert dict(rows_of(settings, "select product_id, title from current_recommendations")) == catalogue


def test_a_rerun_keeps_the_version_and_its_rows(settings):
    night = make_night("2017-06-30", settings)
    first = publish_recommendations(night, settings)
    whole = (
        "select * from recommendation, recommended_product, recommendation_version, live_version order by 1, 2, 3, 7"
    )
    before = rows_of(settings, whole)
    assert publish_recommendations(night, settings) == first | {"new": 0}
    assert rows_of(settings, whole) == before


def test_other_content_of_the_same_night_becomes_a_new_version(settings):
    first = publish_recommendations(make_night("2017-06-30", settings), settings)
    second = publish_recommendations(make_night("2017-06-30", settings, OTHER), settings)
    renamed = publish_recommendations(make_night("2017-06-30", settings, OTHER, TITLES | {"4": "new title"}), settings)
    assert len({first["version"], second["version"], renamed["version"]}) == 3
    assert rows_of(settings, LIVE) == expected(OTHER)
    assert rows_of(settings, "select title from related_products('1')") == [("new title",)]


def test_a_published_version_that_lost_rows_is_not_taken_for_complete(settings):
    night = make_night("2017-06-30", settings)
    publish_recommendations(night, settings)
    with transaction(settings) as connection:
        connection.execute(sa.text("delete from recommendation where product_id = '2'"))
    with pytest.raises(BadInput, match="must hold 5 rows, got 4"):
        publish_recommendations(night, settings)


def test_a_past_night_becomes_a_version_and_does_not_displace_the_live_one(settings):
    live = publish_recommendations(make_night("2017-06-30", settings), settings)
    past = publish_recommendations(make_night("2017-06-15", settings, OTHER), settings)
    assert (past["new"], past["live"]) == (1, 0)
    assert rows_of(settings, "select version_id from live_version") == [(live["version"],)]
    assert rows_of(settings, LIVE) == expected(RELATED)
    query = "select product_id, rank, related_product_id from recommendation where version_id = :id order by 1, 2"
    assert rows_of(settings, query, id=past["version"]) == expected(OTHER)
    newer = publish_recommendations(make_night("2017-07-01", settings, OTHER), settings)
    assert rows_of(settings, "select version_id from live_version") == [(newer["version"],)]


@pytest.mark.parametrize(
    ("related", "columns", "message"),
    [
        ({"1": ["2", "1"]}, {}, "itself: must be at most 0, is 1"),
        ({"1": ["2", "2", "3"], "3": []}, {}, "repeated: must be at most 0, is 1"),
        ({"1": ["2"]}, {"blocked": [False, True, False, False]}, "blocked: must be at most 0, is 1"),
        ({"1": ["2"]}, {"in_stock": [True, False, True, True]}, "out_of_stock: must be at most 0, is 1"),
        ({"no such": ["2"]}, {}, "unknown: must be at most 0, is 1"),
    ],
    ids=["self", "repeated", "blocked", "out of stock", "unknown"],
)
def test_rows_that_nobody_may_see_are_not_stored_and_the_live_version_stays(settings, related, columns, message):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    with pytest.raises(BadInput, match=message):
        publish_recommendations(make_night("2017-06-30", settings, related, **columns), settings)
    assert rows_of(settings, LIVE) == expected(RELATED)
    query = "select version_id, status, dropped_at is null from recommendation_version order by 1"
    (_, *live), (refused, *rejected) = rows_of(settings, query)
    assert (live, rejected) == (["live", True], ["rejected", False])
    assert not [name for name in tables_of_versions(settings) if name.endswith(f"_{refused}")]


def test_no_rows_are_rejected_and_each_failed_rule_has_a_line_in_the_log(settings, caplog):
    with pytest.raises(BadInput, match=r"row_count: must be at least 1, is 0"):
        publish_recommendations(make_night("2017-06-30", settings, {"1": [], "2": []}), settings)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "version 1 of night 2017-06-30: row_count: must be at least 1, is 0" in lines
    failed = "select rule from gate_verdict where not passed and level = 'stop'"
    assert {line.split(": ")[1] for line in lines} == {rule for (rule,) in rows_of(settings, failed)}
    assert len(lines) > 1
    assert rows_of(settings, "select status from recommendation_version") == [("rejected",)]
    assert rows_of(settings, LIVE) == []


def test_a_title_postgresql_cannot_store_is_refused_and_nothing_is_left(settings):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    with pytest.raises(BadInput, match=r"recommended_product_\d+ takes only.*0x00"):
        publish_recommendations(make_night("2017-07-01", settings, titles=TITLES | {"4": "zero\0byte"}), settings)
    assert rows_of(settings, LIVE) == expected(RELATED)
    assert tables_of_versions(settings) == tables_expected(settings)


def test_a_night_whose_recommendations_are_missing_is_not_ready(settings):
    with pytest.raises(NotReady, match=r"recommendations is not in"):
        publish_recommendations(Night.of("2017-06-30", settings), settings)


def test_a_database_that_is_down_is_not_ready(settings):
    night = make_night("2017-06-30", settings)
    away = settings.model_copy(update={"database_url": "postgresql://user:secret@127.0.0.1:1/away"})
    with pytest.raises(NotReady, match=r"127\.0\.0\.1:1/away must answer"):
        publish_recommendations(night, away)


def test_a_newer_schema_is_refused_and_the_live_version_stays_readable(settings):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    engine = database_engine(settings)
    with engine.begin() as connection:
        connection.execute(sa.text(f"update {VERSION_TABLE} set version_num = '9999'"))
    with pytest.raises(BadInput, match="deploy the newer code"):
        publish_recommendations(make_night("2017-07-01", settings, OTHER), settings)
    with engine.connect() as reader:
        assert [tuple(row) for row in reader.execute(sa.text(LIVE))] == expected(RELATED)


@pytest.mark.parametrize("name", ["copy_rows", "_check_row_count", "_attach", "_store_verdicts"])
def test_a_publish_that_breaks_off_leaves_the_live_version_and_a_rerun_succeeds(settings, monkeypatch, name):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    night = make_night("2017-07-01", settings, OTHER)
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(versions, name, lambda *_: 1 / 0)
        publish_recommendations(night, settings)
    assert rows_of(settings, LIVE) == expected(RELATED)
    assert publish_recommendations(night, settings)["live"] == 1
    assert rows_of(settings, LIVE) == expected(OTHER)
    assert tables_of_versions(settings) == tables_expected(settings)
    assert rows_of(settings, "select status from recommendation_version order by 1") == [("live",), ("retired",)]


@pytest.mark.slow
@pytest.mark.parametrize("table", ["recommendation_version", "recommendation", "live_version"])
def test_a_publish_killed_while_it_waits_for_a_table_leaves_the_live_version_and_a_rerun_succeeds(settings, table):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    night = make_night("2017-07-01", settings, OTHER)
    with writes_stopped(settings, table):
        publisher = subprocess.Popen(
            [sys.executable, "-m", "tasks", "publish_recommendations", "--night", str(night)], cwd=ROOT
        )
        wait_until_somebody_waits_for(table, settings)
        publisher.send_signal(signal.SIGKILL)
        assert publisher.wait() == -signal.SIGKILL
        assert rows_of(settings, LIVE) == expected(RELATED)
    assert publish_recommendations(night, settings)["live"] == 1
    assert rows_of(settings, LIVE) == expected(OTHER)
    assert tables_of_versions(settings) == tables_expected(settings)
    assert rows_of(settings, "select status from recommendation_version order by 1") == [("live",), ("retired",)]


@contextmanager
def writes_stopped(settings: Settings, table: str) -> Iterator[None]:
    with transaction(settings) as connection:
        connection.execute(sa.text(f"lock table {table} in share row exclusive mode"))
        yield


def wait_until_somebody_waits_for(table: str, settings: Settings) -> None:
    waiting = "select 1 from pg_locks where not granted and relation = cast(:table as regclass)"
    deadline = time.monotonic() + 60
    while not rows_of(settings, waiting, table=table):
        assert time.monotonic() < deadline, "the publisher never came to the table"
        time.sleep(0.05)


def test_publishers_of_one_night_at_once_make_one_version(settings):
    night = make_night("2017-06-30", settings)
    with ThreadPoolExecutor() as pool:
        counts = list(pool.map(lambda _: publish_recommendations(night, settings), range(4)))
    assert sorted(count["new"] for count in counts) == [0, 0, 0, 1]
    assert {count["version"] for count in counts} == {counts[0]["version"]}
    assert rows_of(settings, LIVE) == expected(RELATED)


def test_publishers_of_several_nights_at_once_leave_the_newest_live(settings):
    days = [f"2017-06-{day}" for day in (28, 30, 29, 27)]
    nights = [make_night(day, settings, RELATED if day == "2017-06-30" else OTHER) for day in days]
    with ThreadPoolExecutor() as pool:
        counts = list(pool.map(lambda night: publish_recommendations(night, settings), nights))
    assert [count["new"] for count in counts] == [1, 1, 1, 1]
    assert rows_of(settings, LIVE) == expected(RELATED)
    assert tables_of_versions(settings) == tables_expected(settings)


def test_a_reader_is_never_without_a_version_while_another_is_published(settings):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    nights = [make_night(f"2017-07-{day:02}", settings, (OTHER, RELATED)[day % 2]) for day in range(1, 9)]
    engine = database_engine(settings)
    with ThreadPoolExecutor(1) as pool, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as reader:
        publishing = pool.submit(lambda: [publish_recommendations(night, settings) for night in nights])
        seen = []
        while not publishing.done():
            seen.append([tuple(row) for row in reader.execute(sa.text(LIVE))])
    publishing.result()
    assert all(rows in (expected(RELATED), expected(OTHER)) for rows in seen)
    assert expected(RELATED) in seen
    assert expected(OTHER) in seen


@pytest.mark.parametrize(
    "query", ["select * from related_products('1')", "select * from current_recommendations where product_id = '1'"]
)
def test_reading_one_product_scans_the_index_of_one_partition(settings, query):
    titles = {str(number): f"product {number}" for number in range(2_000)}
    related = {product: [str(2_000 - int(product) - 1)] for product in titles}
    nights = [make_night(f"2017-06-{day}", settings, related, titles) for day in (28, 29, 30)]
    live = [publish_recommendations(night, settings)["version"] for night in nights][-1]
    indexed = {f"recommendation_{live}": 0, f"recommended_product_{live}": 0, "blocked_product": 0}
    scanned = scanned_by(settings, query)
    del scanned["pair_rule"]  # it is empty, and may be read whole
    assert scanned == indexed


LOOKUPS = ["related_products('1')", "explain_recommendation('1', '2')", "search_products('plain or tab')"]


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_a_lookup_locks_one_partition_however_many_versions_are_kept(settings, lookup):
    held = "select relation::regclass::text from pg_locks where pid = pg_backend_pid() and relation is not null"
    locked = []
    for day in (27, 28, 29, 30):
        publish_recommendations(make_night(f"2017-06-{day}", settings, (OTHER, RELATED)[day % 2]), settings)
        with database_engine(settings).connect() as reader:
            reader.execute(sa.text(f"select * from {lookup}")).all()
            locked.append(set(reader.scalars(sa.text(held))))
    of_version = [{name.replace(f"_{version}", "_N") for name in names} for version, names in enumerate(locked, 1)]
    assert of_version == [of_version[0]] * 4
    assert {"recommended_product", "recommended_product_N"} < of_version[0]


def test_a_transaction_that_looked_up_before_a_publish_finds_the_new_version_after_it(settings):
    """It holds locks, so that PostgreSQL does not look by itself whether there are other partitions by now."""
    other = {product: list(reversed(related)) for product, related in RELATED.items()}
    publish_recommendations(make_night("2017-06-29", settings), settings)
    with database_engine(settings).connect() as reader:
        before = [reader.execute(sa.text(f"select * from {lookup}")).all() for lookup in LOOKUPS]
        publish_recommendations(make_night("2017-06-30", settings, other, TITLES | {"4": "plainly"}), settings)
        after = [reader.execute(sa.text(f"select * from {lookup}")).all() for lookup in LOOKUPS]
    assert [row.related_product_id for row in before[0]] == RELATED["1"]
    assert [row.related_product_id for row in after[0]] == other["1"]
    assert (before[1][0].rank, after[1][0].rank) == (1, 2)
    assert [{row.product_id for row in found} for found in (before[2], after[2])] == [{"2", "4"}, {"2"}]


def test_a_lookup_finds_its_tables_whatever_the_search_path_of_who_asks(settings):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    with database_engine(settings).connect() as reader:
        schema = reader.scalar(sa.text("select current_schema()"))
        reader.execute(sa.text("set search_path = ''"))
        assert len(reader.execute(sa.text(f"select * from {schema}.related_products('1')")).all()) == 2
