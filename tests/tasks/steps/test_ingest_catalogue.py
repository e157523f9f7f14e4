from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.errors import BadInput, NotReady
from tasks.ingest.catalogue import catalogue_of
from tasks.night import Night
from tasks.run import run
from tasks.settings import Settings
from tasks.stores.artefacts import Storage, hash_file
from tasks.stores.database import transaction

DAY = date(2017, 6, 30)
HEADER = "product_id,title,in_stock,blocked\n"


@pytest.fixture
def dated(settings: Settings, tmp_path: Path) -> Settings:
    """CATALOGUE_URL is a folder of dated folders, still empty."""
    (tmp_path / "dated").mkdir()
    return settings.model_copy(update={"catalogue_url": str(tmp_path / "dated")})


@pytest.fixture
def single(settings: Settings, tmp_path: Path) -> Settings:
    """CATALOGUE_URL is one file."""
    settings = settings.model_copy(update={"catalogue_url": str(tmp_path / "c.csv")})
    rewrite(settings, "1,Tea,true,false\n")
    return settings


def deliver(settings: Settings, day: str, *rows: str) -> None:
    file = Path(settings.catalogue_url) / f"date={day}" / "catalogue.csv"
    file.parent.mkdir(exist_ok=True)
    file.write_text(HEADER + "\n".join([*rows, ""]))


def rewrite(settings: Settings, rows: str) -> None:
    Path(settings.catalogue_url).write_text(HEADER + rows)


def ingest(settings: Settings, day: date | str = DAY) -> dict[str, float]:
    return run("ingest_catalogue", str(day), settings)


def seen_by(settings: Settings, night: date | str) -> list[tuple[Any, ...]]:
    """The products that a night sees: id, title, in stock, blocked."""
    storage = Storage(settings.storage_url)
    _, artefact = catalogue_of(Night.of(night, settings), storage)
    with storage.open(artefact) as folder:
        rows = pq.read_table(folder / "products.parquet").to_pylist()
    return [(row["product_id"], row["title"], row["in_stock"], row["blocked"]) for row in rows]


def recorded(settings: Settings) -> list[tuple[Any, ...]]:
    query = "select day, file_name, file_hash, catalogue_hash, products, refused from catalogue_load order by load_id"
    with transaction(settings) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def today_is(day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ingest.catalogue.today", lambda: day)


def test_the_products_and_what_was_refused_are_stored_counted_and_recorded(dated: Settings) -> None:
    deliver(dated, "2017-06-27", "2,Cup,false,", "10,Tea,,true", "3,,,", ",nothing,,", "é,É,true,false")
    counts = ingest(dated)
    assert counts == {
        "files": 1, "products": 3, "refused": 2, "in_stock": 2, "blocked": 1, "delivered_days_before": 3
    }  # fmt: skip
    assert seen_by(dated, DAY) == [("10", "Tea", True, True), ("2", "Cup", False, False), ("é", "É", True, False)]
    artefact = Storage(dated.storage_url).read("catalogue/date=2017-06-30")
    file = Path(dated.catalogue_url) / "date=2017-06-27" / "catalogue.csv"
    name = "date=2017-06-27/catalogue.csv"
    assert artefact.sources == {name: hash_file(file)}
    assert artefact.counts == counts
    assert sorted(artefact.files) == ["products.parquet", "refused_products.parquet"]
    refused = pq.read_table(Path(dated.storage_url) / artefact.path / "refused_products.parquet").to_pylist()
    assert [tuple(row.values()) for row in refused] == [
        ("3", "missing_title", name, 4), (None, "missing_product", name, 5)
    ]  # fmt: skip
    assert recorded(dated) == [(DAY, name, hash_file(file), artefact.hash, 3, 2)]


class TestABackfill:
    @pytest.fixture
    def renamed(self, dated: Settings) -> Settings:
        """A product that was renamed, blocked and sold out in between, and one that was new then."""
        deliver(dated, "2017-06-01", "1,Old Name,true,false")
        deliver(dated, "2017-06-20", "1,New Name,false,true", "2,Newcomer,true,false")
        return dated

    def test_a_night_between_two_deliveries_sees_the_older_one(self, renamed: Settings) -> None:
        ingest(renamed, "2017-06-30")
        ingest(renamed, "2017-06-19")
        ingest(renamed, "2017-06-20")
        assert seen_by(renamed, "2017-06-19") == [("1", "Old Name", True, False)]
        newer = [("1", "New Name", False, True), ("2", "Newcomer", True, False)]
        assert seen_by(renamed, "2017-06-20") == seen_by(renamed, "2017-06-30") == newer

    def test_days_without_a_catalogue_of_their_own_see_the_one_before(self, renamed: Settings) -> None:
        ingest(renamed, "2017-06-02")
        ingest(renamed, "2017-06-25")
        assert seen_by(renamed, "2017-06-24") == [("1", "Old Name", True, False)]
        with pytest.raises(NotReady, match="run ingest_catalogue --night 2017-06-01"):
            seen_by(renamed, "2017-06-01")

    def test_a_day_before_the_first_delivery_is_not_ready(self, renamed: Settings) -> None:
        with pytest.raises(NotReady, match=r"of 2017-05-31 or a day before, but its first is of 2017-06-01"):
            ingest(renamed, "2017-05-31")
        assert recorded(renamed) == []

    def test_a_delivery_made_again_replaces_the_stored_one_whole(self, renamed: Settings) -> None:
        ingest(renamed, "2017-06-21")
        deliver(renamed, "2017-06-20", "3,Only This,true,false")
        ingest(renamed, "2017-06-21")
        assert seen_by(renamed, "2017-06-21") == [("3", "Only This", True, False)]
        assert [row[4] for row in recorded(renamed)] == [2, 1]

    @hypothesis_settings(
        max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )  # each example has a storage and deliveries of its own
    @given(
        delivered=st.sets(st.integers(0, 4), min_size=1),
        days=st.lists(st.integers(0, 4), min_size=2, max_size=4, unique=True),
    )
    @example(delivered={1, 3}, days=[4, 0, 2, 3])
    def test_in_whatever_order_days_are_ingested_each_sees_what_was_delivered_for_it(
        self, settings: Settings, tmp_path: Path, delivered: set[int], days: list[int]
    ) -> None:
        root = tmp_path / uuid4().hex
        root.mkdir()
        own = settings.model_copy(update={"catalogue_url": str(root), "storage_url": f"memory://{uuid4().hex}"})
        for of in delivered:
            deliver(own, f"2017-06-1{of}", f"1,of day {of},true,false")
        for day in days:
            if day >= min(delivered):
                ingest(own, f"2017-06-1{day}")
        for day in days:
            if day >= min(delivered):
                newest = max(of for of in delivered if of <= day)
                assert seen_by(own, f"2017-06-1{day}") == [("1", f"of day {newest}", True, False)]


class TestOneFileWithoutHistory:
    @pytest.mark.parametrize("age", [0, 1])
    def test_for_today_and_yesterday_it_is_taken_again(
        self, single: Settings, age: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        today_is(DAY + timedelta(days=age), monkeypatch)
        assert ingest(single)["taken_late_days"] == 0
        rewrite(single, "2,Cup,true,false\n")
        counts = ingest(single)
        assert counts == {"files": 1, "products": 1, "refused": 0, "in_stock": 1, "blocked": 0, "taken_late_days": 0}
        assert seen_by(single, DAY) == [("2", "Cup", True, False)]
        assert len(recorded(single)) == 2

    @pytest.mark.parametrize("age", [2, 400])
    def test_for_a_past_day_what_is_stored_is_kept(
        self, single: Settings, age: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        today_is(DAY + timedelta(days=1), monkeypatch)
        before = ingest(single)
        stored = Storage(single.storage_url).read(Night.catalogue(DAY))
        today_is(DAY + timedelta(days=age), monkeypatch)
        rewrite(single, "2,Cup,true,false\n")
        assert ingest(single) == before | {"kept": 1}
        assert seen_by(single, DAY) == [("1", "Tea", True, False)]
        assert Storage(single.storage_url).read(Night.catalogue(DAY)) == stored
        assert len(recorded(single)) == 1

    def test_for_a_past_day_without_one_it_is_taken_as_it_is_now(
        self, single: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        today_is(DAY + timedelta(days=12), monkeypatch)
        assert ingest(single)["taken_late_days"] == 12
        assert seen_by(single, DAY) == [("1", "Tea", True, False)]
        assert recorded(single)[0][1] == "c.csv"

    def test_an_unreadable_file_is_no_matter_where_the_stored_one_is_kept(self, single: Settings) -> None:
        ingest(single)
        rewrite(single, "1,a,true,false\n1,b,true,false\n")
        assert ingest(single)["kept"] == 1
        with pytest.raises(BadInput, match="more than once"):
            ingest(single, DAY - timedelta(days=1))


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ("1,a,true,false\n1,b,true,false\n", BadInput, "more than once"),
        ("1,,true,false\n", BadInput, "no product with an id and a title"),
        ("1,a,maybe,false\n", BadInput, "in_stock = 'maybe' of product 1"),
        ("", BadInput, "no product with an id and a title"),
        (None, NotReady, "holds no catalogue yet"),
    ],
)
def test_after_an_error_the_stored_catalogue_stands(
    dated: Settings, rows: str | None, error: type[Exception], message: str
) -> None:
    deliver(dated, "2017-06-30", "1,Tea,true,false")
    ingest(dated)
    file = Path(dated.catalogue_url) / "date=2017-06-30" / "catalogue.csv"
    file.unlink() if rows is None else file.write_text(HEADER + rows)
    with pytest.raises(error, match=message):
        ingest(dated)
    assert seen_by(dated, DAY) == [("1", "Tea", True, False)]
    assert len(recorded(dated)) == 1


def test_a_rerun_stores_the_same_bytes(dated: Settings) -> None:
    deliver(dated, "2017-06-30", "2,Cup,false,", "1,Tea,,true", ",x,,")
    ingest(dated)
    before = Storage(dated.storage_url).read(Night.catalogue(DAY))
    ingest(dated)
    assert Storage(dated.storage_url).read(Night.catalogue(DAY)) == before


def test_a_database_that_is_away_stops_it_before_anything_is_replaced(dated: Settings) -> None:
    deliver(dated, "2017-06-30", "1,Tea,true,false")
    ingest(dated)
    deliver(dated, "2017-06-30", "2,Cup,true,false")
    with pytest.raises(NotReady, match=r"127\.0\.0\.1"):
        ingest(dated.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/nothing"}))
    assert seen_by(dated, DAY) == [("1", "Tea", True, False)]


def test_remote_deliveries_and_a_remote_storage(settings: Settings) -> None:
    root, memory = f"memory://{uuid4().hex}", fsspec.filesystem("memory")
    remote = settings.model_copy(update={"catalogue_url": f"{root}/in", "storage_url": f"{root}/out"})
    for day in ("2017-06-28", "2017-07-01"):
        memory.pipe_file(f"{root}/in/date={day}/catalogue.csv", f"{HEADER}1,of {day},true,false\n".encode())
    assert ingest(remote)["delivered_days_before"] == 2
    assert seen_by(remote, DAY) == [("1", "of 2017-06-28", True, False)]
    assert recorded(remote)[0][1] == "date=2017-06-28/catalogue.csv"
