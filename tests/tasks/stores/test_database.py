import socket
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import (
    ROWS_PER_COPY,
    SQL,
    VERSION_TABLE,
    Metric,
    connect,
    copy_rows,
    database_engine,
    migrate,
    statement,
    store_metrics,
    transaction,
)
from tasks.stores.ledger import erased_users
from tests.nights import LIVE, OTHER, expected, make_night, with_lenient_gate

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

TEXTS = strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NASTY = ["", " ", "\\N", "\\.", "\\", '"', '""', "it's", "a,b\tc\nd\re\r\n", "NULL", "Ünïcödé 靴 👟", "{1}", "%s :name"]


def rows_of(settings: Settings, query: str) -> list[tuple]:
    with transaction(settings) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def check_database(settings: Settings) -> None:
    with connect(settings):
        pass


def with_url(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": url})


@given(texts=strategies.lists(strategies.none() | TEXTS | strategies.sampled_from(NASTY), max_size=20))
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_copy_gives_back_every_text_and_null(database_url, texts):
    rows = pa.table({"place": pa.array(range(len(texts)), pa.int64()), "a text": pa.array(texts, pa.string())})
    with sa.create_engine(database_url.replace("postgresql:", "postgresql+psycopg2:")).begin() as connection:
        connection.execute(sa.text('create temporary table copied (place int, "a text" text) on commit drop'))
        copy_rows(connection, "copied", rows.to_reader())
        copied = connection.execute(sa.text('select "a text" from copied order by place')).scalars().all()
    assert copied == texts


def test_copy_keeps_numbers_exactly_and_sends_more_than_one_buffer(settings):
    scores = np.arange(250_001, dtype=np.float32) / 7
    with transaction(settings) as connection:
        connection.execute(sa.text("create temporary table copied (score real) on commit drop"))
        copy_rows(connection, "copied", pa.table({"score": scores}).to_reader(ROWS_PER_COPY))
        copied = connection.execute(sa.text("select score from copied order by score")).scalars().all()
    assert np.array_equal(np.array(copied, np.float32), scores)


def test_copy_names_what_postgresql_cannot_store(settings):
    with pytest.raises(BadInput, match=r"copied.*0x00.*line 2"), transaction(settings) as connection:
        connection.execute(sa.text("create temporary table copied (title text) on commit drop"))
        copy_rows(connection, "copied", pa.table({"title": ["fine", "zero\0byte"]}).to_reader())


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_the_url_means_psycopg2(settings, scheme):
    url = scheme + "://" + settings.database_url.partition("://")[2]
    assert database_engine(with_url(settings, url)).driver == "psycopg2"
    check_database(with_url(settings, url))


@pytest.mark.parametrize("url", ["mysql://root:secret@localhost/x", "postgresql+psycopg://a:secret@b/c", "secret"])
def test_a_url_of_something_else_is_refused_without_showing_the_password(settings, url):
    with pytest.raises(BadInput, match="DATABASE_URL must read postgresql://") as refusal:
        database_engine(with_url(settings, url))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("place", ["user:secret@127.0.0.1:{port}/x", "user@127.0.0.1:{port}/x?password=secret"])
def test_a_database_that_is_down_is_not_ready_and_its_password_not_shown(settings, place):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = "postgresql://" + place.format(port=closed.getsockname()[1])
        with pytest.raises(NotReady, match=r"127\.0\.0\.1.*Connection refused.*run the step again") as refusal:
            check_database(with_url(settings, url))
    assert "secret" not in str(refusal.value)


def test_a_server_that_is_gone_without_a_word_is_noticed(settings):
    """Within two minutes, by what the connection asks of TCP; DATABASE_URL may ask for something else."""
    more = "&" if "?" in settings.database_url else "?"
    hasty = with_url(settings, f"{settings.database_url}{more}keepalives_idle=5")
    for mine, idle in ((settings, "60"), (hasty, "5")):
        with connect(mine) as connection:
            asked = connection.connection.dbapi_connection.info.dsn_parameters
        assert (asked["connect_timeout"], asked["keepalives_idle"]) == ("10", idle)
        assert (asked["keepalives_interval"], asked["keepalives_count"]) == ("10", "6")


def select_one(connection: sa.Connection) -> None:
    connection.execute(sa.text("select 1"))


def copy_one(connection: sa.Connection) -> None:
    copy_rows(connection, "metric", pa.table({"night": ["2017-06-30"]}).to_reader())


@pytest.mark.parametrize("use", [select_one, copy_one])
def test_a_server_that_goes_away_in_the_middle_is_not_ready(settings, use):
    with pytest.raises(NotReady, match=r"must answer .*, got: .*(terminating|closed)"):  # noqa: SIM117
        with transaction(settings) as connection:
            mine = connection.execute(sa.text("select pg_backend_pid()")).scalar_one()
            with transaction(settings) as administrator:
                administrator.execute(sa.text("select pg_terminate_backend(:pid, 10000)"), {"pid": mine})
            use(connection)


def test_without_a_url_every_use_is_refused_and_no_server_is_started(settings):
    without = with_url(settings, None)
    for use in (database_engine, check_database, migrate, erased_users):
        with pytest.raises(BadInput, match=r"DATABASE_URL must name .*python -m local"):
            use(without)
    assert not (without.state_folder / "postgres").exists()


def test_a_schema_that_was_never_migrated_or_is_older_is_refused_until_it_is_migrated(fresh_settings):
    with pytest.raises(NotReady, match=r"at revision \d+, got none: run `python -m tasks migrate`"):
        check_database(fresh_settings)
    newest = migrate(fresh_settings)
    check_database(fresh_settings)
    with transaction(fresh_settings) as connection:
        connection.execute(sa.text(f"update {VERSION_TABLE} set version_num = '0001'"))
    for use in (check_database, erased_users):
        with pytest.raises(NotReady, match=rf"at revision {newest}, got 0001: run `python -m tasks migrate`"):
            use(fresh_settings)


def test_a_migration_that_is_done_changes_nothing(settings):
    before = rows_of(settings, "select oid from pg_class order by oid")
    assert migrate(settings) == migrate(settings)
    assert rows_of(settings, "select oid from pg_class order by oid") == before


OF_0013 = """
insert into recommendation_version (
    version_id, night, status, recommendations_hash, products_hash, model_hash, interactions_hash, code_version,
    row_count, product_count, judged_at, withdrawn_at, catalogue_count
)
overriding system value values
    (1, '2017-06-28', 'retired', 'r1', 'p', 'm1', 'i', 'c', 2, 2, now(), null, 2),
    (2, '2017-06-29', 'live', 'r2', 'p', 'm2', 'i', 'c', 2, 2, now(), null, 2),
    (3, '2017-06-30', 'withdrawn', 'r3', 'p', 'm3', 'i', 'c', 2, 2, now(), now(), 2);
select setval(pg_get_serial_sequence('recommendation_version', 'version_id'), 3);
insert into recommended_product (version_id, product_id, title)
select version_id, product_id, product_id from recommendation_version, unnest(array['1', '2']) as product_id;
insert into recommendation (version_id, product_id, rank, related_product_id, score, source)
select version_id, product_id, 1, translate(product_id, '12', '21'), 1, 'co-click'
from recommendation_version, unnest(array['1', '2']) as product_id;
insert into live_version (version_id) values (2);
insert into live_version_change (action, version_id, previous_version_id, actor, reason) values
    ('publish', 1, null, 'nightly', 'passed the gate'), ('publish', 2, 1, 'nightly', 'passed the gate'),
    ('publish', 3, 2, 'nightly', 'passed the gate'), ('rollback', 2, 3, 'Ada', 'odd titles');
insert into gate_verdict (version_id, judged_at, rule, passed, value, bound, threshold, reason)
select version_id, judged_at, 'coverage', true, 1, 'at least', 0.5, 'is 1' from recommendation_version
"""


def test_versions_of_0013_are_kept_and_the_next_night_is_published_after_them(fresh_settings, monkeypatch):
    settings = with_lenient_gate(fresh_settings, monkeypatch)
    tables = [file for file in sorted((SQL / "migrations").glob("0*.sql")) if file.name < "0014"]
    with database_engine(settings).begin() as connection:
        connection.exec_driver_sql(f"create table {VERSION_TABLE} (version_num varchar(32) primary key)")
        connection.exec_driver_sql(f"insert into {VERSION_TABLE} values ('0013')")
        for file in tables:
            connection.exec_driver_sql(file.read_text())
        for version_id in (1, 2, 3):
            for query in ("create_partitions", "attach_partitions"):
                connection.execute(statement(query, version_id=version_id))
        connection.exec_driver_sql(OF_0013)
    migrate(settings)
    assert rows_of(settings, LIVE) == [("1", 1, "2"), ("2", 1, "1")]
    assert rows_of(settings, "select distinct rule, algorithm from gate_history, recommendation_version") == [
        ("listed", "eclare")
    ]
    assert publish_recommendations(make_night("2017-07-01", settings, OTHER), settings)["live"] == 1
    assert rows_of(settings, LIVE) == expected(OTHER)
    statuses = "select version_id, status from recommendation_version order by 1"
    assert rows_of(settings, statuses) == [(1, "retired"), (2, "retired"), (3, "withdrawn"), (4, "live")]
    assert rows_of(settings, "select related_product_id from related_products_of_version('1', 9, 1)") == [("2",)]
    with transaction(settings) as connection:
        for source in ("pinned", "co-click"):
            connection.execute(sa.text("update recommendation set source = :source"), {"source": source})


def test_migrations_at_once_wait_for_each_other(fresh_settings):
    with ThreadPoolExecutor(3) as executor:
        assert len(set(executor.map(migrate, [fresh_settings] * 3))) == 1
    check_database(fresh_settings)


def test_a_user_who_may_make_no_tables_is_told_so(fresh_settings):
    name = f"limited_{uuid4().hex[:8]}"
    owner = database_engine(fresh_settings)
    with owner.begin() as connection:
        connection.exec_driver_sql(f"create role {name} login password '{name}'")
    limited = owner.url.set(username=name, password=name).render_as_string(hide_password=False)
    try:
        with pytest.raises(BadInput, match=r"must be allowed to make tables in .*migrate as the owner") as refusal:
            migrate(with_url(fresh_settings, limited))
        assert f":{name}@" not in str(refusal.value), "the password"
    finally:
        with owner.begin() as connection:
            connection.exec_driver_sql(f"drop role {name}")


def test_a_database_that_cannot_hold_every_title_is_refused(settings):
    with database_engine(settings).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("create database latin encoding 'LATIN1' locale 'C' template template0")
        try:
            latin = database_engine(settings).url.set(database="latin").render_as_string(hide_password=False)
            with pytest.raises(BadInput, match=r"as UTF8 does, got LATIN1: make another"):
                migrate(with_url(settings, latin))
        finally:
            connection.exec_driver_sql("drop database latin")


def test_a_newer_schema_is_refused_and_left_as_it_is(settings):
    check_database(settings)
    with transaction(settings) as connection:
        connection.execute(sa.text(f"update {VERSION_TABLE} set version_num = '9999'"))
    for use in (check_database, migrate):
        with pytest.raises(BadInput, match=r"9999.*deploy the newer code"):
            use(settings)
    with database_engine(settings).connect() as connection:
        assert connection.execute(sa.text(f"select version_num from {VERSION_TABLE}")).scalar_one() == "9999"


def test_every_table_view_function_and_column_has_a_comment(settings):
    uncommented = """
    with here as (select oid, relname from pg_class
                  where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v')),
    relations as (select relname::text as name from here where obj_description(oid, 'pg_class') is null),
    columns as (select relname || '.' || attname from pg_attribute join here on oid = attrelid
                where attnum > 0 and not attisdropped and col_description(attrelid, attnum) is null),
    functions as (select proname::text from pg_proc
                  where pronamespace = current_schema()::regnamespace and obj_description(oid, 'pg_proc') is null
                      and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e'))  -- pg_trgm's
    select * from relations union all select * from columns union all select * from functions
    """
    assert rows_of(settings, uncommented) == []
    assert len(rows_of(settings, "select from pg_class where relnamespace = current_schema()::regnamespace")) > 10


def test_metrics_of_a_rerun_replace_those_of_the_run(settings):
    night = Night.of("2017-06-30", settings)
    store_metrics(night, "model", [Metric("eclare", "P", 5, 0.25), Metric("eclare", "queries", 0, 12)], settings)
    store_metrics(night, "model", [Metric("eclare", "P", 5, 0.5)], settings)
    assert rows_of(settings, "select system, metric, k, value from metric") == [("eclare", "P", 5, 0.5)]


def test_metrics_by_night_shows_each_night_s_newest_model(settings):
    first, second = (Night.of(day, settings) for day in ("2017-06-29", "2017-06-30"))
    store_metrics(first, "z old model", [Metric("eclare", "P", 5, 0.1), Metric("eclare", "recall", 5, 0.9)], settings)
    store_metrics(second, "a model", [Metric("co-click", "P", 5, 0.2)], settings)
    store_metrics(first, "a new model", [Metric("eclare", "P", 5, 0.3)], settings)
    shown = rows_of(settings, "select night, system, metric, k, value, model_hash from metrics_by_night order by night")
    assert shown == [
        (first.day, "eclare", "P", 5, 0.3, "a new model"),
        (second.day, "co-click", "P", 5, 0.2, "a model"),
    ]
