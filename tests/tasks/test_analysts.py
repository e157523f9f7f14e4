"""What analysts and publishers may do in SQL, and every query that the documents show."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from eclare.evaluation.list_segments import HISTORY
from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.publish.rollback import approve
from tasks.run import INGEST, run
from tasks.settings import ROOT, Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.artefacts import Storage
from tasks.stores.database import Metric, database_engine, migrate, store_metrics, transaction
from tasks.stores.ledger import record_build
from tasks.stores.locks import locked
from tests.nights import (
    LENIENT,
    LIVE,
    METRICS,
    OTHER,
    RELATED,
    TRAINED_WITH,
    expected,
    make_night,
    roll_back,
    rows_of,
    scanned_by,
    scans_of,
    with_lenient_gate,
)
from tests.small_shop import NIGHT, deliver_catalogue, deliver_log
from tests.tasks.publish.test_explanations import publish_with_reasons
from tests.tasks.report.test_while_live import deliver, judged, moved, sessions_of

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

READ = """select relname from pg_class
where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v') and relname !~ '_[0-9]+$'"""
HIDDEN = {"erasure", "erasure_day", "erasure_salt", "erased_session", "clicks_lock", "step_lock"}


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


@contextmanager
def as_role(settings: Settings, role: str) -> Iterator[sa.Connection]:
    with database_engine(settings).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"set role {role}"))
        yield connection


def strict(settings: Settings) -> Settings:
    file = settings.gate_config.with_name("strict.json")
    file.write_text(json.dumps(LENIENT | {"churn": 0}))
    return settings.model_copy(update={"gate_config": file})


def lively_shop(settings: Settings) -> None:
    """A day ingested; nights published, judged while live, refused, let pass and rolled back."""
    deliver_log(Path(settings.click_log_url), NIGHT, NIGHT)
    deliver_catalogue(Path(settings.catalogue_url))
    for step in INGEST:
        run(step, str(NIGHT), settings)
    categories = {"category": ["mugs", "mugs", "plates", "plates"]}
    for day, related in (("2017-06-27", RELATED), ("2017-06-28", OTHER)):
        publish_recommendations(make_night(day, settings, related, **categories), settings)
        moved(settings, f"{date.fromisoformat(day) + timedelta(days=1)} 05:00")
    judged(settings, deliver(settings, sessions_of(0)))
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(make_night("2017-06-29", settings, RELATED, **categories), strict(settings))
    approve(settings, 3, "the season changed", "Ada")
    roll_back(settings, "too early", "Grace")
    publish_with_reasons(settings, "2017-06-30", {"1": ["2", "3"], "2": ["1"], "4": ["2"]})


DOCUMENTS = ("README.md", "docs/analysts.md", "docs/publishing.md")
# The products that the documents name, and two with which they are met.
GROCERIES = {
    "1082185": "Bananas", "878996": "Grapes Red", "1041453": "Potato Chips 11.5 oz", "995242": "Fluid Milk White Only"
}  # fmt: skip
BANANAS, GRAPES, CHIPS, MILK = GROCERIES


def queries_of(document: str) -> list[str]:
    """What a document shows of SQL: blocks, and what stands behind psql's prompt; a reader runs one at a time."""
    text = (ROOT / document).read_text()
    shown = [*re.findall(r"^```sql\n(.*?)```", text, re.DOTALL | re.MULTILINE), *re.findall(r"^=> (.*)$", text, re.M)]
    single = [re.sub(r"--.*", "", query).strip() for block in shown for query in block.split(";")]
    return [query for query in single if query and not query.startswith("\\")]


def like_the_demo(settings: Settings) -> None:
    """Co-clicks of the day before, live for the night's day, then the night by ECLARE: nothing was refused."""
    deliver_log(Path(settings.click_log_url), NIGHT, NIGHT)
    deliver_catalogue(Path(settings.catalogue_url))
    for step in INGEST:
        run(step, str(NIGHT), settings)
    before, day = {BANANAS: [GRAPES, MILK], CHIPS: [MILK]}, str(NIGHT - timedelta(days=1))
    night = make_night(day, settings, before, GROCERIES, TRAINED_WITH | {"algorithm": "co-click"})
    model = Storage(settings.storage_url).read(night.artefact("model")).hash
    store_metrics(night, model, [each for each in METRICS if each.system.startswith("co-click")], settings)
    publish_recommendations(night, settings)
    moved(settings, f"{NIGHT} 05:00")
    shopping = {NIGHT - timedelta(days=age): [[BANANAS, GRAPES], [BANANAS, GRAPES], [CHIPS, MILK]] for age in range(8)}
    judged(settings, deliver(settings, shopping, known=list(GROCERIES)))
    after = {BANANAS: [GRAPES, CHIPS, MILK], GRAPES: [BANANAS], CHIPS: [MILK, GRAPES, BANANAS]}
    publish_with_reasons(settings, str(NIGHT), after, GROCERIES)
    night, storage = Night.of(NIGHT, settings), Storage(settings.storage_url)
    histories = [Metric("eclare / eclare without model", "lift", 10, 1.04, part, 1.0, 1.1) for part in HISTORY]
    model, interactions = (storage.read(night.artefact(name)) for name in ("model", "interactions"))
    store_metrics(night, model.hash, [*METRICS, *histories], settings)
    with transaction(settings) as connection:
        record_build(night, interactions, {NIGHT: "hash of the day"}, (NIGHT, "hash of the catalogue"), connection)


def test_every_query_of_the_documents_returns_rows_on_what_the_demo_publishes(settings):
    like_the_demo(settings)
    with as_role(settings, "analyst") as analyst:
        for document in DOCUMENTS:
            queries = queries_of(document)
            assert len(queries) >= 2, document
            for query in queries:
                assert analyst.exec_driver_sql(query, execution_options={"no_parameters": True}).all(), query


def test_analysts_read_everything_but_hashes_of_erased_users_and_write_nothing(settings):
    publish_recommendations(make_night("2017-06-30", settings), settings)
    relations = {name for (name,) in rows_of(settings, READ)}
    assert relations > HIDDEN
    with as_role(settings, "analyst") as analyst:
        for name in sorted(relations - HIDDEN):
            analyst.execute(sa.text(f"select * from {name}")).all()
            with pytest.raises(sa.exc.DBAPIError, match=r"permission denied|cannot delete"):
                analyst.execute(sa.text(f"delete from {name}"))
        for name in sorted(HIDDEN):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                analyst.execute(sa.text(f"select * from {name}"))
        for forbidden in (
            "select move_live_version(1, 'rollback', 'me', 'why not')",
            "select move_channel('b', 1, 1, 'me', 'why not')", "create table mine (one int)",
            "update live_version set version_id = 1", "truncate recommendation", "drop table recommendation",
        ):  # fmt: skip
            with pytest.raises(sa.exc.ProgrammingError, match=r"permission denied|must be owner"):
                analyst.execute(sa.text(forbidden))
    assert rows_of(settings, LIVE) == expected(RELATED)


@contextmanager
def members_of_publisher(settings: Settings, count: int) -> Iterator[list[Settings]]:
    """Logins that are members of publisher and own nothing."""
    names = [f"nightly_{uuid4().hex[:8]}" for _ in range(count)]
    with transaction(settings) as connection:
        for name in names:
            connection.execute(sa.text(f"create role {name} login in role publisher password '{name}'"))
    try:
        urls = [sa.make_url(settings.database_url).set(username=name, password=name) for name in names]
        yield [settings.model_copy(update={"database_url": url.render_as_string(hide_password=False)}) for url in urls]
    finally:
        with transaction(settings) as connection:
            for name in names:
                connection.execute(sa.text(f"drop role {name}"))  # it owns nothing, not even what it made


def test_members_of_publisher_run_the_nights_of_a_database_that_is_not_their_own(settings):
    publish_recommendations(make_night("2017-06-29", settings), settings)
    few = settings.model_copy(update={"keep_versions": 2})
    with members_of_publisher(few, 2) as (ada, grace):
        assert publish_recommendations(make_night("2017-06-30", ada, OTHER), ada)["live"] == 1
        assert rows_of(ada, LIVE) == expected(OTHER)
        roll_back(grace, "back")
        assert rows_of(settings, LIVE) == expected(RELATED)
        for day, member in (("2017-07-01", ada), ("2017-07-02", ada), ("2017-07-03", grace)):
            publish_recommendations(make_night(day, member), member)
        publish_recommendations(make_night("2017-07-03", ada), ada)  # run again by another
        kept = rows_of(settings, "select count(*) from recommendation_version where dropped_at is null")
        assert kept == [(2,)], "each dropped what another had made"


ADDED_TO = (
    *("gate_verdict", "live_version_change", "live_channel_change"),
    *("ingest_ledger", "catalogue_load", "erasure", "erasure_day"),
)


def test_publishers_add_to_the_history_and_change_nothing_of_it(settings):
    publish_with_reasons(settings, "2017-06-30", {"1": ["2", "3"]})
    with members_of_publisher(settings, 1) as (member,):
        for table in ADDED_TO:
            for change in (f"delete from {table}", f"truncate {table}", f"drop table {table}"):
                denied = pytest.raises(BadInput, match=r"permission denied|must be owner")
                with denied, transaction(member) as connection:
                    connection.execute(sa.text(change))
        for change in ("update erasure_salt set salt = 'mine'", "delete from recommendation_version"):
            with pytest.raises((BadInput, sa.exc.IntegrityError)), transaction(member) as connection:
                connection.execute(sa.text(change))


def test_rights_that_a_restore_lost_come_back_with_a_migration(settings):
    with transaction(settings) as connection:
        connection.execute(sa.text("revoke all on all tables in schema public from analyst, publisher"))
        connection.execute(sa.text("grant execute on function move_live_version(bigint, text, text, text) to public"))
    migrate(settings)
    with as_role(settings, "analyst") as analyst:
        analyst.execute(sa.text("select * from current_recommendations")).all()
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied for function"):
            analyst.execute(sa.text("select move_live_version(1, 'rollback', 'me', 'why not')"))


def test_an_analyst_cannot_hold_up_a_publish(settings):
    """Neither by the lock's row, nor by an advisory lock of any key that code ever took."""
    publish_recommendations(make_night("2017-06-29", settings), settings)
    with as_role(settings, "analyst") as analyst:
        analyst.execute(sa.text("select pg_advisory_lock(hashtextextended(current_schema() || ' publish', 0))"))
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            analyst.execute(sa.text("select * from step_lock for update"))
        hasty = settings.model_copy(update={"lock_minutes": 0.05})
        assert publish_recommendations(make_night("2017-06-30", hasty, OTHER), hasty)["live"] == 1


def test_who_holds_a_lock_is_told_to_those_who_waited_for_it(settings):
    hasty = settings.model_copy(update={"lock_minutes": 0.005})
    with locked(settings, "publish"):
        holder = rf"'publish' must be free within LOCK_MINUTES \(0.005\).*publish, \S+ {os.getpid()} \(process \d+"
        with pytest.raises(NotReady, match=holder), locked(hasty, "publish"):
            pass
    with locked(hasty, "publish"):
        pass


def test_what_changed_since_last_night(settings):
    query = (
        "select product_id, related_product_id, rank_before, rank, change from changes_since_last_night order by 1, 2"
    )
    assert rows_of(settings, query) == []
    for day, related in (("2017-06-28", {"1": ["4"]}), ("2017-06-29", {"1": ["2", "3"], "2": ["1"]})):
        publish_recommendations(make_night(day, settings, related), settings)
    publish_recommendations(make_night("2017-06-30", settings, {"1": ["3", "4"], "2": ["1"]}), settings)
    assert rows_of(settings, query) == [
        ("1", "2", 1, None, "gone"), ("1", "3", 2, 1, "moved"), ("1", "4", None, 2, "new"),
    ]  # fmt: skip
    touched = {scan["Relation Name"] for scan in scans_of(settings, query)}
    assert {name for name in touched if name.startswith("recommendation_") and name[-1].isdigit()} == {
        "recommendation_2", "recommendation_3"
    }  # fmt: skip
    roll_back(settings, "back", to="2017-06-29")
    assert [row[-1] for row in rows_of(settings, query)] == ["new", "new", "gone", "new"]


def test_a_pair_over_the_nights(settings):
    for day, related in (("2017-06-28", RELATED), ("2017-06-29", OTHER), ("2017-06-30", RELATED)):
        publish_recommendations(make_night(day, settings, related), settings)
    query = """select night::text, rank, status from pair_history
    where product_id = '1' and related_product_id = '2' order by 1"""
    assert rows_of(settings, query) == [("2017-06-28", 1, "retired"), ("2017-06-30", 1, "live")]


def test_how_old_what_readers_see_is(settings):
    assert rows_of(settings, "select * from staleness") == [(None,) * 5]
    version = publish_recommendations(make_night("2017-06-30", settings), settings)["version"]
    with transaction(settings) as connection:
        connection.execute(sa.text("update live_version set since = now() - interval '90 minutes'"))
    query = """select version_id, age_hours, night_ended_hours - extract(epoch from now() - '2017-07-01Z') / 3600
    from staleness"""
    ((live, age, difference),) = rows_of(settings, query)
    assert (live, age) == (version, 1.5)
    assert abs(difference) < 0.1


@pytest.mark.parametrize(
    ("query", "found"),
    [("plain", ["4"]), ("PLAIN", ["4"]), ("quoted title", ["1"]), ("quoted -title", []), ('"title quoted"', []),
     ("Ünïcödé or plain", ["3", "4"]), ("", []), ("'; drop table x; -- & | ! ( :* <->", [])],
)  # fmt: skip
def test_products_are_found_by_words_of_their_title(settings, query, found):
    publish_recommendations(
        make_night("2017-06-29", settings, titles={"1": "an old plain title", "2": "x", "3": "y", "4": "z"}), settings
    )
    publish_recommendations(make_night("2017-06-30", settings), settings)
    rows = rows_of(settings, "select product_id from search_products(:words)", words=query)
    assert sorted(product for (product,) in rows) == found


def test_a_search_reads_the_index_of_the_live_version(settings):
    titles = {str(number): f"product {number} of {number % 97}" for number in range(3_000)}
    related = {product: [str((int(product) + 1) % 3_000)] for product in titles}
    publish_recommendations(make_night("2017-06-30", settings, related, titles), settings)
    assert scanned_by(settings, "select * from search_products('1234')") == {"recommended_product_1": 0}
