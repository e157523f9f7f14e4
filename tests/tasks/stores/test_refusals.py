"""Whatever the server refuses is told in our words, and tried again where that may help."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.database import database_engine, migrate, store_metrics, transaction

WRITE = "delete from metric"


def run(settings: Settings, sql: str) -> None:
    with transaction(settings) as connection:
        connection.execute(sa.text(sql))


def set_on_database(settings: Settings, what: str) -> None:
    """For all later connections, as whoever runs the server may."""
    with database_engine(settings).begin() as connection:
        connection.exec_driver_sql(f"alter database {database_engine(settings).url.database} set {what}")


@pytest.mark.parametrize(
    ("sqlstate", "raised", "remedy"),
    [
        ("53100", NotReady, "free disk space"),
        ("53300", NotReady, "connections of the server"),
        ("40P01", NotReady, "run the step again"),
        ("57P03", NotReady, "stopped by an operator"),
        ("58030", NotReady, "see to the server"),
        ("25006", NotReady, "name the primary"),
        ("42501", BadInput, "member of publisher"),
        ("42P01", BadInput, "not those of this code"),
        ("22001", BadInput, "correct the value"),
        ("54000", BadInput, "see its limits"),
    ],
)
def test_what_the_server_refuses_is_told_by_its_kind(settings, sqlstate, raised, remedy):
    refuse = f"do $$ begin raise exception 'as somebody would' using errcode = '{sqlstate}'; end $$"
    with pytest.raises(raised, match=rf"must answer .* got: as somebody would.*{remedy}"):
        run(settings, refuse)


def test_a_fault_of_this_code_stays_one(settings):
    with pytest.raises(sa.exc.IntegrityError):
        run(settings, "do $$ begin raise exception 'twice' using errcode = '23505'; end $$")
    with pytest.raises(sa.exc.ProgrammingError, match="can't adapt"):
        store_metrics(Night.of("2017-06-30", settings), object(), [], settings)


def test_a_replica_is_waited_for_and_named(settings):
    set_on_database(settings, "default_transaction_read_only = on")
    with pytest.raises(NotReady, match=r"read-only.*let DATABASE_URL name the primary"):
        run(settings, WRITE)
    with database_engine(settings).connect() as connection:
        connection.exec_driver_sql("set transaction read write")
        connection.exec_driver_sql(
            f"alter database {connection.engine.url.database} reset default_transaction_read_only"
        )
        connection.commit()
    run(settings, WRITE)


def test_a_migration_waits_for_a_replica_to_be_promoted(fresh_settings):
    set_on_database(fresh_settings, "default_transaction_read_only = on")
    with pytest.raises(NotReady, match=r"read-only.*let DATABASE_URL name the primary"):
        migrate(fresh_settings)


def test_a_revoked_right_is_named_and_not_waited_for(settings):
    with database_engine(settings).begin() as connection:
        connection.exec_driver_sql("create role clerk login in role analyst")
    try:
        clerk = database_engine(settings).url.set(username="clerk").render_as_string(hide_password=False)
        with pytest.raises(BadInput, match=r"permission denied for table metric.*member of publisher"):
            run(settings.model_copy(update={"database_url": clerk}), WRITE)
    finally:
        with database_engine(settings).begin() as connection:
            connection.exec_driver_sql("drop role clerk")


def test_a_statement_that_took_too_long_is_tried_again(settings):
    set_on_database(settings, "statement_timeout = '50ms'")
    with pytest.raises(NotReady, match=r"statement timeout.*stopped by an operator or by statement_timeout"):
        run(settings, "select pg_sleep(5)")


def test_a_migration_gives_way_to_readers_and_says_so(settings):
    """An analyst's open transaction; another reader comes while the migration waits."""
    with transaction(settings) as connection:
        connection.execute(sa.text("update recommendation_schema_version set version_num = '0009'"))
    with database_engine(settings).connect() as analyst, ThreadPoolExecutor(1) as executor:
        analyst.exec_driver_sql("select count(*) from metric")
        migration = executor.submit(migrate, settings)
        time.sleep(1)
        start = time.monotonic()
        with database_engine(settings).connect() as reader:
            reader.exec_driver_sql("select count(*) from metric")
        assert time.monotonic() - start < 10
        with pytest.raises(NotReady, match=r"lock timeout.*see who holds the lock"):
            migration.result()
