"""An export of many days becomes folders of days: every row in its own, what is no row beside them."""

from collections import Counter
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.ingest.by_day import UNREADABLE, divide_by_day
from tasks.ingest.catalogue_format import CatalogueFormat
from tasks.ingest.catalogue_of_log import catalogue_of_log, write_catalogue_of_log
from tasks.ingest.log_format import LogFormat
from tasks.operations.split_by_day import split_by_day
from tasks.settings import Settings

LOG = (
    "zeit;beleg;artikel;name\n"
    "29.06.2017 23:59;s1;p1;Gießkanne\n"
    "30.06.2017 00:00;s1;p2;Löffel\n"
    "30.06.2017 00:00;s1;p2\n"
    "gestern;s2;p3;Messer\n"
)
FORMAT = {
    "columns": {"event_time": "zeit", "session_id": "beleg", "product_id": "artikel"},
    "time_format": "%d.%m.%Y %H:%M", "delimiter": ";", "encoding": "cp1252",
}  # fmt: skip
TITLES = {"columns": {"product_id": "artikel", "title": "name"}, "delimiter": ";", "encoding": "cp1252"}


def export(folder: Path, text: str = LOG, name: str = "export.csv") -> Path:
    file = folder / name
    file.write_bytes(text.encode("cp1252"))
    return file


def rows_in(folder: Path) -> dict[str, list[dict[str, str | None]]]:
    return {file.parent.name: pq.read_table(file).to_pylist() for file in sorted(folder.glob("date=*/*"))}


def test_rows_go_to_their_day_and_what_is_none_is_kept(tmp_path: Path) -> None:
    divided = divide_by_day([export(tmp_path)], tmp_path / "clicks", LogFormat.model_validate(FORMAT), Settings())
    assert divided.rows_of_day == {date(2017, 6, 29): 1, date(2017, 6, 30): 2}
    assert (divided.rows, divided.timeless, divided.unreadable) == (3, 1, 1)
    rows = rows_in(tmp_path / "clicks")
    (first,) = rows["date=2017-06-29"]
    assert (first["event_time"], first["session_id"], first["product_id"]) == ("2017-06-29 23:59:00", "s1", "p1")
    assert first["rest"] == "name=Gießkanne"
    assert Counter(row["event_time"] for row in rows["date=2017-06-30"]) == {"2017-06-30 00:00:00": 1, "gestern": 1}
    (line,) = pq.read_table(tmp_path / "clicks" / UNREADABLE).to_pylist()
    assert (line["file"], line["line"]) == ("export.csv", 4)


def test_a_local_time_is_moved_to_utc_in_summer_and_in_winter(tmp_path: Path) -> None:
    text = "event_time,session_id,product_id\n2017-06-30 01:00,s,p\n2017-12-31 00:30,s,p\n"
    log_format = LogFormat(time_zone="Europe/Berlin")
    divided = divide_by_day([export(tmp_path, text)], tmp_path / "clicks", log_format, Settings())
    assert list(divided.rows_of_day) == [date(2017, 6, 29), date(2017, 12, 30)]


def test_a_second_export_is_added_and_the_same_replaced(tmp_path: Path) -> None:
    log_format, to = LogFormat.model_validate(FORMAT), tmp_path / "clicks"
    for name in ("june.csv", "july.csv", "june.csv"):
        divide_by_day([export(tmp_path, name=name)], to, log_format, Settings())
    names = sorted(str(file.relative_to(to)) for file in to.glob("date=*/*"))
    assert names == [f"date=2017-06-{day}/{name}.parquet" for day in (29, 30) for name in ("july", "june")]


def test_files_of_several_folders_with_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        export(tmp_path / "in" / folder)
    settings = Settings().model_copy(update={"log_format": tmp_path / "format.json"})
    (tmp_path / "format.json").write_text(LogFormat.model_validate(FORMAT).model_dump_json())
    assert split_by_day(tmp_path / "in", tmp_path / "clicks", None, settings)["rows"] == 6


def test_delivered_files_stay_as_they_are_whatever_they_are_called(tmp_path: Path) -> None:
    texts = {name: LOG.replace("s1", name.replace("/", "")) for name in ("a/b-c.csv", "a-b/c.csv")}
    for name, text in texts.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        export(tmp_path / "in", text, name)
    files = [tmp_path / "in" / name for name in texts]
    divided = divide_by_day(files, tmp_path / "clicks", LogFormat.model_validate(FORMAT), Settings())
    assert divided.rows == 6
    assert [file.read_bytes().decode("cp1252") for file in files] == list(texts.values())


def test_a_second_run_replaces_all_of_the_first_and_nothing_of_others(tmp_path: Path) -> None:
    to, log_format = tmp_path / "clicks", LogFormat.model_validate(FORMAT)
    for name in ("orders.csv", "orders_eu.csv"):
        divide_by_day([export(tmp_path, name=name)], to, log_format, Settings())
    later = "zeit;beleg;artikel;name\n01.07.2017 00:00;s1;p1;Mug\n"
    divide_by_day([export(tmp_path, later, "orders.csv")], to, log_format, Settings())
    names = sorted(str(file.relative_to(to)) for file in to.glob("*/*"))
    assert names == [
        *(f"date=2017-06-{day}/orders_eu.parquet" for day in (29, 30)), "date=2017-07-01/orders.parquet"
    ]  # fmt: skip
    assert not (to / UNREADABLE).exists(), "of the run before"
    divide_by_day([export(tmp_path, later, "orders_eu.csv")], to, log_format, Settings())
    assert [folder.name for folder in to.iterdir()] == ["date=2017-07-01"]


@pytest.mark.parametrize("columns", [None, ["product_id", "title", "in_stock"]])
def test_a_file_that_is_no_catalogue_of_a_log_is_not_written_over(tmp_path: Path, columns: list[str] | None) -> None:
    to = tmp_path / "catalogue"
    if columns:
        pq.write_table(pa.table({name: ["x"] for name in columns}), to)
    else:
        to.write_text("product_id,title\n1,Mug\n")
    before = to.read_bytes()
    with pytest.raises(BadInput, match=r"must be a catalogue that split_by_day wrote.*got (no Parquet|product_id, t)"):
        split_by_day(export(tmp_path), tmp_path / "clicks", to, Settings())
    assert to.read_bytes() == before and not (tmp_path / "clicks").exists()


def test_a_log_whose_users_stand_for_sessions_gets_none(tmp_path: Path) -> None:
    text = "event_time,user,product_id\n2017-06-30 10:00,u,p\n"
    log_format = LogFormat(columns={"session_id": "user", "user_id": "user"})
    divide_by_day([export(tmp_path, text)], tmp_path / "clicks", log_format, Settings())
    ((row,),) = rows_in(tmp_path / "clicks").values()
    assert (row["session_id"], row["user_id"]) == (None, "u")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zeit;beleg;artikel\nnie;s;p\n", "export.csv must have a time that can be read in one row at least"),
        ("when;beleg;artikel\n1;s;p\n", "^export.csv has no column zeit"),
    ],
)
def test_refusals_name_the_file(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        divide_by_day([export(tmp_path, text)], tmp_path / "to", LogFormat.model_validate(FORMAT), Settings())
    assert not (tmp_path / "to").exists()


@given(st.lists(st.datetimes(datetime(2017, 6, 28), datetime(2017, 7, 2)), min_size=1, max_size=20))
@hypothesis_settings(max_examples=8)
def test_no_row_is_lost(tmp_path_factory: pytest.TempPathFactory, times: list[datetime]) -> None:
    folder = tmp_path_factory.mktemp("export")
    lines = [f"{time.isoformat()},s,p{n}" for n, time in enumerate(times)]
    text = "\n".join(["event_time,session_id,product_id", *lines])
    divided = divide_by_day([export(folder, text)], folder / "clicks", LogFormat(), Settings())
    assert divided.rows_of_day == dict(sorted(Counter(time.date() for time in times).items()))
    rows = [row["product_id"] for day in rows_in(folder / "clicks").values() for row in day]
    assert sorted(rows) == sorted(f"p{n}" for n in range(len(times)))


def test_titles_are_the_most_frequent_ones_and_other_columns_the_last(tmp_path: Path) -> None:
    names = ["Mug", "Mug", "damaged", "nan", "Bowl", "Bowl, blue"]
    rows = zip("111122", names, range(6), strict=True)
    text = "artikel;name;price\n" + "".join(f"{id_};{name};{price}\n" for id_, name, price in rows)
    found = catalogue_of_log([export(tmp_path, text)], CatalogueFormat.model_validate(TITLES), Settings()).to_pylist()
    assert [(row["product_id"], row["title"], row["price"]) for row in found] == [
        ("1", "Mug", "2"),
        ("2", "Bowl, blue", "5"),
    ]


def test_products_of_a_former_export_stay(tmp_path: Path) -> None:
    to, file_format = tmp_path / "catalogue.parquet", CatalogueFormat.model_validate(TITLES)
    write_catalogue_of_log([export(tmp_path, "artikel;name\n1;Mug\n2;Bowl\n")], to, file_format, Settings())
    counts = write_catalogue_of_log([export(tmp_path, "artikel;name\n2;Blue bowl\n")], to, file_format, Settings())
    assert counts == {"products": 2, "products_kept": 1}
    titles = {row["product_id"]: row["title"] for row in pq.read_table(to).to_pylist()}
    assert titles == {"1": "Mug", "2": "Blue bowl"}


def test_a_log_without_titles_is_no_catalogue(tmp_path: Path) -> None:
    file = export(tmp_path, "artikel;name\n1;\n2;nan\n")
    with pytest.raises(BadInput, match=r"export\.csv must name a product with its title"):
        catalogue_of_log([file], CatalogueFormat.model_validate(TITLES), Settings())
