from datetime import date

import pytest
import sqlalchemy as sa

from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Artefact
from tasks.stores.database import SQL, VERSION_TABLE, database_engine, migrate, transaction
from tasks.stores.ledger import (
    Load,
    erased_users,
    record_aggregate,
    record_build,
    record_catalogue,
    record_erasure,
    record_load,
    rule_counts,
)  # fmt: skip

DAY = date(2017, 6, 30)
FILE = {"name": "it's.csv", "bytes": 120, "sha256": "ab"}


def rows_of(settings: Settings, query: str) -> list[tuple]:
    with transaction(settings) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def load(
    read: int, accepted: int, rules: dict[str, int], duplicates: int = 0, clicks_hash: str | None = "hash"
) -> Load:
    counted = [*rule_counts("quarantined", rules), *rule_counts("duplicate", {"duplicate_row": duplicates})]
    return Load(DAY, [FILE], clicks_hash, read, accepted, 0, counted)


def test_rows_read_must_add_up() -> None:
    with pytest.raises(ValueError, match="got 9 read, 5 accepted, 2 quarantined, 1 duplicates"):
        load(9, 5, {"bad_time": 2}, 1)


def test_every_load_is_kept_and_health_shows_the_one_that_stands(settings: Settings) -> None:
    with transaction(settings) as ledger:
        record_load(load(8, 4, {"bad_time": 2, "other": 1}, 1, "first"), ledger)
    with transaction(settings) as ledger:
        record_load(load(10, 8, {"bad_time": 2}, 0, "second"), ledger)
    with transaction(settings) as ledger:
        record_load(load(10, 0, {"bad_time": 10}, 0, None), ledger)
    assert rows_of(settings, "select clicks_hash, outcome, files from ingest_ledger order by load_id") == [
        ("first", "loaded", [FILE]), ("second", "loaded", [FILE]), (None, "rejected", [FILE]),
    ]  # fmt: skip
    columns = "rows_read, accepted, quarantined, quarantined_percent, rows_by_rule, rejected_since"
    health = f"select {columns} from ingest_health"
    assert rows_of(settings, health) == [(10, 8, 2, 20, {"bad_time": 2}, 1)]
    rules = "select rule, outcome, row_count, load_outcome from ingest_rules order by load_id, rule"
    assert rows_of(settings, rules) == [
        ("bad_time", "quarantined", 2, "loaded"), ("duplicate_row", "duplicate", 1, "loaded"),
        ("other", "quarantined", 1, "loaded"), ("bad_time", "quarantined", 2, "loaded"),
        ("bad_time", "quarantined", 10, "rejected"),
    ]  # fmt: skip


def aggregated(settings: Settings, day: int, hash_: str) -> str:
    made = Artefact("aggregates", hash_, counts={"sessions": 1, "products": 2, "pairs": 3})
    with transaction(settings) as ledger:
        record_aggregate(date(2017, 6, day), made, ledger)
    return hash_


FRESHNESS = "select night, out_of_date, changed_days, version_id, is_live from night_freshness order by night, built_at"


def test_nights_whose_window_holds_a_changed_or_new_day_are_out_of_date(settings: Settings) -> None:
    settings = settings.model_copy(update={"window_days": 8})
    days = {date(2017, 6, day): aggregated(settings, day, f"hash of {day}") for day in (24, 29, 30)}
    night = Night.of(DAY, settings)
    with transaction(settings) as ledger:
        record_build(night, Artefact("interactions", "built"), days, (date(2017, 6, 1), "catalogue"), ledger)
    assert rows_of(settings, FRESHNESS) == [(DAY, False, [], None, False)]
    aggregated(settings, 22, "before the window")
    aggregated(settings, 29, "hash of 29")  # made again with the same content
    assert rows_of(settings, FRESHNESS) == [(DAY, False, [], None, False)]
    aggregated(settings, 24, "another")
    aggregated(settings, 25, "first load of the day")
    assert rows_of(settings, FRESHNESS) == [(DAY, True, [date(2017, 6, 24), date(2017, 6, 25)], None, False)]
    days |= {date(2017, 6, 24): "another", date(2017, 6, 25): "first load of the day"}
    with transaction(settings) as ledger:
        record_build(night, Artefact("interactions", "built again"), days, (date(2017, 6, 1), "catalogue"), ledger)
    assert [row[1] for row in rows_of(settings, FRESHNESS)] == [True, False]


def test_catalogues_are_recorded_with_their_file(settings: Settings) -> None:
    made = Artefact("catalogue", "c", sources={"catalogue.csv": "f"}, counts={"products": 7, "refused": 1})
    with transaction(settings) as ledger:
        record_catalogue(DAY, "catalogue.csv", made, ledger)
    query = "select day, file_name, file_hash, catalogue_hash, products, refused from catalogue_load"
    assert rows_of(settings, query) == [(DAY, "catalogue.csv", "f", "c", 7, 1)]


def test_erased_users_are_known_by_a_salted_hash(settings: Settings) -> None:
    assert erased_users(settings).user_hashes == []
    for user in ("ann", "bob", "ann"):
        record_erasure(user, user, 1, "asked", settings)
    known = erased_users(settings)
    assert len(known.user_hashes) == 2
    assert all(len(hash_) == 64 for hash_ in known.user_hashes)
    assert known.salt


def test_a_ledger_of_before_keeps_its_counts(fresh_settings: Settings) -> None:
    """The migration from 0001, with a load in it."""
    engine = database_engine(fresh_settings)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"create table {VERSION_TABLE} (version_num varchar(32) primary key)")
        connection.exec_driver_sql(f"insert into {VERSION_TABLE} values ('0001')")
        connection.exec_driver_sql((SQL / "migrations/0001_recommendations.sql").read_text())
        connection.exec_driver_sql(
            "insert into ingest_ledger (day, files, clicks_hash, rows_read, accepted, refused, duplicates,"
            " refused_by_reason, code_version) values ('2017-06-30', '[]', 'x', 10, 7, 2, 1, '{\"bad_time\": 2}', 'v')"
        )
    migrate(fresh_settings)
    assert rows_of(fresh_settings, "select quarantined, rows_by_rule from ingest_health") == [
        (2, {"bad_time": 2, "duplicate": 1})
    ]
    assert rows_of(fresh_settings, "select outcome, clicks_of_other_days from ingest_ledger") == [("loaded", 0)]
