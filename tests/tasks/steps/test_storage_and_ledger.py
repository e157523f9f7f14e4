"""Whatever the database refuses, storage and ledger say the same: after it, and after the step was run again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from tasks.errors import NotReady
from tasks.night import Night
from tasks.run import INGEST, STEPS, run
from tasks.settings import Settings
from tasks.stores.artefacts import Draft, Storage
from tasks.stores.database import database_engine
from tests.installations import Installation
from tests.nights import rows_of
from tests.small_shop import NIGHT, deliver_catalogue, deliver_log

THE_NIGHT = Night(NIGHT, window_days=4, held_out_days=1)
DAYS = [NIGHT - timedelta(days=age) for age in (3, 2, 1, 0)]
# By step: where it writes, and the hashes that the ledger has of it, newest last.
LEDGER = {
    "ingest_catalogue": (Night.catalogue(NIGHT), "select catalogue_hash from catalogue_load order by load_id"),
    "ingest_clicks": (
        Night.clicks(NIGHT),
        f"select clicks_hash from ingest_ledger where day = '{NIGHT}' and clicks_hash is not null order by load_id",
    ),
    "aggregate_clicks": (Night.aggregate(NIGHT), f"select aggregate_hash from daily_aggregate where day = '{NIGHT}'"),
    "build_interactions": (THE_NIGHT.artefact("interactions"), "select interactions_hash from night_build"),
}
TABLES = ("catalogue_load", "ingest_ledger", "daily_aggregate", "night_build")
FULL = """create function refuse() returns trigger language plpgsql as
$$ begin raise exception 'no space left on device' using errcode = '53100'; end $$"""
OTHERS = "datname = current_database() and pid <> pg_backend_pid()"
TIMES = count(1)


@pytest.fixture(scope="module")
def ingested(install: Callable[[str], Installation], embedded_server: str) -> Settings:
    """The small shop's days, each step done once, and other files delivered since."""
    installed = install(embedded_server)
    of_days = {"window_days": 4, "held_out_days": 1, "catalogue_url": str(installed.folder / "catalogue")}
    settings = installed.settings.model_copy(update=of_days)
    catalogue_of(DAYS[0], settings).parent.mkdir(parents=True)
    deliver_catalogue(catalogue_of(DAYS[0], settings))
    deliver_log(Path(settings.click_log_url), DAYS[0], NIGHT, 40)
    for day in DAYS:
        for step in ("ingest_catalogue", "ingest_clicks", "aggregate_clicks"):
            run(step, str(day), settings)
    run("build_interactions", str(NIGHT), settings)
    return settings


def catalogue_of(day: date, settings: Settings) -> Path:
    return Path(settings.catalogue_url, f"date={day}", "catalogue.parquet")


@contextmanager
def read_only(settings: Settings) -> Iterator[None]:
    """As a replica is, or a primary after a failover."""
    engine = database_engine(settings)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"alter database {engine.url.database} set default_transaction_read_only = on")
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("set transaction read write")
            connection.exec_driver_sql(f"alter database {engine.url.database} reset default_transaction_read_only")


@contextmanager
def full(settings: Settings) -> Iterator[None]:
    """No row fits into the ledger's tables any more."""
    with database_engine(settings).begin() as connection:
        connection.exec_driver_sql(FULL)
        for table in TABLES:
            connection.exec_driver_sql(
                f"create trigger refuse before insert on {table} for each row execute function refuse()"
            )
    try:
        yield
    finally:
        with database_engine(settings).begin() as connection:
            connection.exec_driver_sql("drop function refuse() cascade")


def seen(settings: Settings, step: str) -> tuple[str, list[str]]:
    """The hash in the storage, and those of the ledger."""
    path, query = LEDGER[step]
    return Storage(settings.storage_url).read(path).hash, [hash_ for (hash_,) in rows_of(settings, query)]


@pytest.mark.parametrize("refusing", [read_only, full])
@pytest.mark.parametrize("step", LEDGER)
def test_storage_and_ledger_agree_whatever_the_database_refuses(ingested: Settings, step: str, refusing) -> None:
    deliver_anew(ingested, step)
    before = seen(ingested, step)
    assert before[0] == before[1][-1]
    with refusing(ingested), pytest.raises(NotReady, match=r"must answer|could not be taken"):
        run(step, str(NIGHT), ingested)
    assert seen(ingested, step) == before
    run(step, str(NIGHT), ingested)
    after = seen(ingested, step)
    assert after[0] == after[1][-1] != before[0]


@pytest.mark.parametrize("step", ["ingest_clicks", "aggregate_clicks"])
def test_nobody_reads_what_the_ledger_does_not_know_where_the_server_dies_before_it_commits(
    ingested: Settings, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver_anew(ingested, step)
    path, query = LEDGER[step]
    before, put_in_place = rows_of(ingested, query), Draft.put_in_place

    def and_die(draft: Draft) -> None:
        put_in_place(draft)
        rows_of(ingested, "select pg_terminate_backend(pid, 10000) from pg_stat_activity where " + OTHERS)

    with monkeypatch.context() as patched, pytest.raises(NotReady, match=r"must answer|lost"):
        patched.setattr(Draft, "put_in_place", and_die)
        run(step, str(NIGHT), ingested)
    assert rows_of(ingested, query) == before
    with pytest.raises(NotReady, match=f"{path} is not in .* or not complete"):
        Storage(ingested.storage_url).read(path)
    with pytest.raises(NotReady, match=f"{NIGHT} are not (ingested|aggregated): run {step}"):
        run(STEPS[STEPS.index(step) + 1], str(NIGHT), ingested)
    run(step, str(NIGHT), ingested)
    in_storage, in_ledger = seen(ingested, step)
    assert in_storage == in_ledger[-1] != before[-1][0]


def deliver_anew(settings: Settings, step: str) -> None:
    """Something that makes another artefact of the step, and what the step needs before it."""
    time = next(TIMES)
    if step == "ingest_catalogue":
        file = catalogue_of(DAYS[0], settings)
        products = pd.read_parquet(file)
        products["title"] += f" {time}"
        products.to_parquet(file, index=False)
        return
    deliver_log(Path(settings.click_log_url), NIGHT, NIGHT, 40 + time)
    for before in INGEST[1 : INGEST.index(step) if step in INGEST else None]:
        run(before, str(NIGHT), settings)
