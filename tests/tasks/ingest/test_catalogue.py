import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.errors import BadInput, NotReady
from tasks.ingest.catalogue import Catalogue, catalogue_of, delivery_of, read_catalogue
from tasks.ingest.fetched import read_each
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage, hash_file
from tasks.stores.rows import normal_id

DAY = date(2017, 6, 30)

CSV = b"product_id,title,brand,in_stock,blocked\n10,Tea,Acme,true,false\n2,  Red Cup ,,false,TRUE\n7, ,Acme,,\n"


def read(settings: Settings, day: date = DAY) -> Catalogue:
    return read_catalogue(delivery_of(day, settings), settings)


def at(tmp_path: Path, name: str, content: bytes) -> Settings:
    (tmp_path / name).write_bytes(content)
    return Settings(catalogue_url=str(tmp_path / name))


def reasons(catalogue: Catalogue) -> list[tuple[str | None, str]]:
    return [(row["product_id"], row["reason"]) for row in catalogue.refused.to_pylist()]


def as_csv(*rows: str, header: str = "product_id,title") -> bytes:
    return "\n".join([header, *rows, ""]).encode()


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".json", ".parquet"])
def test_every_format_gives_the_same_products(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"product_id": 10, "title": "Tea", "brand": "Acme", "in_stock": True, "blocked": False},
        {"product_id": 2, "title": "  Red Cup ", "brand": None, "in_stock": False, "blocked": True},
        {"product_id": 7, "title": " ", "brand": "Acme", "in_stock": None, "blocked": None},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if suffix == ".parquet":
        settings = at(tmp_path, "catalogue.parquet", b"")
        pq.write_table(pa.Table.from_pylist(rows), settings.catalogue_url)
    else:
        content = CSV if suffix.startswith(".csv") else json.dumps(rows).encode() if suffix == ".json" else lines
        settings = at(tmp_path, f"catalogue{suffix}", gzip.compress(content) if suffix.endswith(".gz") else content)
    catalogue = read(settings)
    common = {"category": None, "price": None, "image_url": None}
    assert catalogue.products.to_pylist() == [
        common | {"product_id": "10", "title": "Tea", "brand": "Acme", "in_stock": True, "blocked": False},
        common | {"product_id": "2", "title": "Red Cup", "brand": None, "in_stock": False, "blocked": True},
    ]
    assert catalogue.products.column_names == [
        "product_id", "title", "category", "brand", "in_stock", "blocked", "price", "image_url"
    ]  # fmt: skip
    line = 4 if suffix.startswith(".csv") else 3
    assert catalogue.refused.to_pylist() == [
        {"product_id": "7", "reason": "missing_title", "file": f"catalogue{suffix}", "row": line}
    ]
    assert catalogue.hashes == {f"catalogue{suffix}": hash_file(Path(settings.catalogue_url))}


def test_products_without_flags_are_in_stock_and_not_blocked(tmp_path: Path) -> None:
    (product,) = read(at(tmp_path, "c.csv", as_csv("1,Tea"))).products.to_pylist()
    assert (product["in_stock"], product["blocked"]) == (True, False)


def test_prices_and_pictures_are_kept_where_they_are_some(tmp_path: Path) -> None:
    long = "https://img.example/" + 2_000 * "a"
    rows = [
        ("$12.50", "https://img.example/a b.jpg"), ("12,50 €", "http://img.example/1.jpg?w=2&h=3"),
        (60 * "9", "javascript:alert(1)"), ("", long), ("x", '"https://img.example/""quoted"""'),
        ("1", "//img.example/1"), ("2", "data:image/png;base64;AAAA"),
    ]  # fmt: skip
    content = as_csv(
        *(f'{number},Tea,"{price}",{address}' for number, (price, address) in enumerate(rows)),
        header="product_id,title,price,image_url",
    )
    products = read(at(tmp_path, "c.csv", content)).products
    assert products["price"].to_pylist() == ["$12.50", "12,50 €", None, None, "x", "1", "2"]
    assert products["image_url"].to_pylist() == [None, "http://img.example/1.jpg?w=2&h=3", *[None] * 5]


def test_products_are_sorted_by_the_text_of_their_id(tmp_path: Path) -> None:
    catalogue = read(at(tmp_path, "c.csv", as_csv("b,B", "é,E", "10,ten", "9,nine", "B,b", "0012,twelve")))
    assert catalogue.products["product_id"].to_pylist() == ["0012", "10", "9", "B", "b", "é"]


def test_products_without_an_id_or_a_title_are_refused_and_the_others_kept(tmp_path: Path) -> None:
    catalogue = read(at(tmp_path, "c.csv", as_csv(",no id", ",", "1,", "2,Tea")))
    assert catalogue.products["product_id"].to_pylist() == ["2"]
    assert [tuple(row.values()) for row in catalogue.refused.to_pylist()] == [
        ("1", "missing_title", "c.csv", 4), (None, "missing_product", "c.csv", 2), (None, "missing_product", "c.csv", 3)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            as_csv("1,a", "2,b", "1,c", "3,", "3,d"),
            r"2 product ids more than once: 1 \(2 rows, from c.csv:2 to c.csv:4\), 3 \(2 rows, .* c.csv:6\); keep one",
        ),
        (
            as_csv(*[f"{i % 9},t" for i in range(18)]),
            r"9 product ids more than once: 0 \(2 rows, .*4 \(2 rows, from c.csv:6 to c.csv:15\), \.\.\.",
        ),
        (as_csv("1,x", header="product_id,name"), r"c\.csv has no column title; its columns are product_id, name"),
        (b"", "no product with an id and a title"),
        (as_csv(), "no product with an id and a title"),
        (as_csv("1,", ",b"), "no product with an id and a title"),
        (as_csv("1,a", "2"), r"c\.csv must be readable in every line, but line 3: 1 columns, not 2"),
        (as_csv("1,a\0b"), "line 2: holds a zero byte"),
        (
            as_csv("1,a,perhaps", header="product_id,title,blocked"),
            r"blocked = 'perhaps' of product 1 \(c.csv:2\): write true or",
        ),
    ],
)
def test_a_catalogue_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(at(tmp_path, "c.csv", content))


def test_a_file_that_is_not_what_its_suffix_says(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"c\.parquet does not read as \.parquet"):
        read(at(tmp_path, "c.parquet", CSV))
    with pytest.raises(BadInput, match=r"c\.xlsx has no known suffix: accepted are \.parquet, .*this is a spreadsheet"):
        read(at(tmp_path, "c.xlsx", b"PK\x03\x04"))
    assert len(read(at(tmp_path, "pk", as_csv("1,Tea,7", header="PK,title,product_id"))).products)


def test_a_catalogue_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"no catalogue at .*nowhere\.csv: deliver it, or set CATALOGUE_URL"):
        read(Settings(catalogue_url=str(tmp_path / "nowhere.csv")))


def test_a_remote_catalogue() -> None:
    url = f"memory://{uuid4().hex}/c.csv"
    fsspec.filesystem("memory").pipe_file(url, CSV)
    assert read(Settings(catalogue_url=url)).products["title"].to_pylist() == ["Tea", "Red Cup"]


def test_a_text_that_postgresql_cannot_store_is_refused_and_the_others_kept(tmp_path: Path) -> None:
    rows = [
        {"product_id": "1", "title": "Tea\0", "brand": None},
        {"product_id": "2", "title": "Tea", "brand": "Ac\0me"},
        {"product_id": "3\0", "title": "Tea", "brand": None},
        {"product_id": "4" * 201, "title": "Tea", "brand": None},
        {"product_id": "5" * 200, "title": "Tea", "brand": None},
    ]
    settings = at(tmp_path, "c.parquet", b"")
    pq.write_table(pa.Table.from_pylist(rows), settings.catalogue_url)
    catalogue = read(settings)
    assert catalogue.products["product_id"].to_pylist() == ["5" * 200]
    assert [row["reason"] for row in catalogue.refused.to_pylist()] == ["unfit_text"] * 2 + ["unfit_id"] * 2


def test_a_text_beyond_its_bound_is_refused_and_the_others_kept(tmp_path: Path) -> None:
    words = "word " * 20
    rows = [f"1,{words * 50}{'x' * 1_200_000}", f"2,{words}", f"3,Tea,{words * 11}", "4,Tea,Cups", f"5,{'茶' * 1_000}"]
    settings = at(
        tmp_path,
        "c.csv",
        as_csv(*(row + "," * (2 - row.count(",")) for row in rows[1:]), header="product_id,title,category"),
    )
    catalogue = read(settings)
    assert catalogue.products["product_id"].to_pylist() == ["2", "4", "5"]
    assert reasons(catalogue) == [("3", "long_text")]
    file = tmp_path / "long.parquet"
    pq.write_table(pa.table({"product_id": ["1", "2"], "title": [rows[0], "Tea"]}), file)
    catalogue = read(Settings(catalogue_url=str(file)))
    assert reasons(catalogue) == [("1", "long_text")]
    short = read(Settings(catalogue_url=str(file), max_title_characters=2_000_000 // 20))
    assert short.products["title"].to_pylist() == ["Tea"]


@pytest.mark.parametrize("title", ["????? ???", "?? Pro 500", "\ufffd\ufffd tea", "🙂", "— –"])
def test_titles_whose_letters_were_lost_are_refused_together(tmp_path: Path, title: str) -> None:
    lost = [f"{i},{title}" for i in range(6)]
    with pytest.raises(BadInput, match=r"at most 50% of the titles of the catalogue .*c\.csv may lack letters or hold"):
        read(at(tmp_path, "c.csv", as_csv(*lost, "a,Tea", "b,Чай", "c,茶", "d,X?")))
    assert len(read(at(tmp_path, "c.csv", as_csv(*lost, *(f"a{i},चाय" for i in range(6))))).products) == 12
    everything = at(tmp_path, "c.csv", as_csv(*lost)).model_copy(update={"max_quarantined_share": 1.0})
    with pytest.raises(BadInput, match="got 6 of 6"):
        read(everything)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0?\ufffd"), max_size=8)
TITLE = TEXT.map(lambda text: text if is_blank(text) else f"{text} mug")
FLAG = st.none() | st.booleans()


@hypothesis_settings(max_examples=40)
@given(
    rows=st.lists(
        st.fixed_dictionaries({"product_id": TEXT, "title": st.none() | TITLE, "in_stock": FLAG, "blocked": FLAG}),
        unique_by=lambda row: normal_id(str(row["product_id"])),
        max_size=12,
    )
)
def test_every_row_is_a_product_or_refused_and_products_come_in_the_order_of_their_bytes(
    rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = Settings(catalogue_url=str(tmp_path_factory.mktemp("catalogue") / "c.parquet"))
    names = {"product_id": pa.string(), "title": pa.string(), "in_stock": pa.bool_(), "blocked": pa.bool_()}
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(names.items()))), settings.catalogue_url)
    good = [row for row in rows if not is_blank(row["product_id"]) and not is_blank(row["title"])]
    if not good:
        with pytest.raises(BadInput, match="no product with an id and a title"):
            read(settings)
        return
    catalogue = read(settings)
    ids = [row["product_id"] for row in catalogue.products.to_pylist()]
    assert ids == sorted([normal_id(str(row["product_id"])) for row in good], key=lambda id_: id_.encode())
    assert len(catalogue.products) + len(catalogue.refused) == len(rows)
    flags = {row["product_id"]: (row["in_stock"], row["blocked"]) for row in catalogue.products.to_pylist()}
    for row in good:
        expected = (row["in_stock"] is not False, row["blocked"] is True)
        assert flags[normal_id(str(row["product_id"]))] == expected


def test_of_an_id_that_is_written_in_two_ways_one_row_counts(tmp_path: Path) -> None:
    catalogue = read(
        at(tmp_path, "c.csv", as_csv("47503J ,Padded", "47503J,Plain", "\u00c9 ,Tea", "E\u0301,", "7,Cup"))
    )
    titles = {row["product_id"]: row["title"] for row in catalogue.products.to_pylist()}
    assert titles == {"47503J": "Plain", "\u00c9": "Tea", "7": "Cup"}
    assert ("47503J", "same_id") in reasons(catalogue)
    with pytest.raises(BadInput, match=r"1 product ids more than once: 7 \(2 rows, from d.csv:2 to d.csv:3\)"):
        read(at(tmp_path, "d.csv", as_csv("7,Cup", "7,Mug")))


def is_blank(text: object) -> bool:
    return text is None or not str(text).strip(" \t\n\r\v\f")


def deliver(root: str, day: str, name: str = "c.csv", content: bytes = CSV) -> None:
    fsspec.filesystem("file").makedirs(f"{root}/date={day}", exist_ok=True)
    (Path(root) / f"date={day}" / name).write_bytes(content)


@hypothesis_settings(max_examples=40)
@given(
    delivered=st.sets(st.dates(date(2016, 1, 1), date(2017, 12, 31)), max_size=6),
    day=st.dates(date(2016, 1, 1), date(2017, 12, 31)),
)
def test_a_day_has_the_newest_catalogue_delivered_up_to_it(delivered: set[date], day: date) -> None:
    root, memory = f"memory://{uuid4().hex}", fsspec.filesystem("memory")
    memory.pipe_file(f"{root}/date=2015/c.csv", CSV)  # no day: passed over
    for of in delivered:
        memory.pipe_file(f"{root}/date={of}/_SUCCESS", b"")
        memory.pipe_file(f"{root}/date={of}/c.csv", CSV)
    settings = Settings(catalogue_url=root)
    up_to_day = [of for of in delivered if of <= day]
    if up_to_day:
        found = delivery_of(day, settings)
        assert (found.delivered, found.name) == (max(up_to_day), f"date={max(up_to_day)}/c.csv")
        assert read(settings, day).products["title"].to_pylist() == ["Tea", "Red Cup"]
    else:
        with pytest.raises(NotReady, match=rf"a folder date=YYYY-MM-DD of {day} or a day before, but it"):
            delivery_of(day, settings)


@pytest.mark.parametrize("change", ["written", "gone", "one more"])
def test_a_catalogue_that_changes_while_it_is_read(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(str(tmp_path), "2017-06-30")
    file = tmp_path / "date=2017-06-30" / "c.csv"

    def read_meanwhile(*arguments: Any) -> Any:
        found = read_each(*arguments)
        if change == "gone":
            file.unlink()
        else:
            (file if change == "written" else file.with_name("d.csv")).write_bytes(CSV + b"8,Bowl,,,\n")
        return found

    monkeypatch.setattr("tasks.ingest.catalogue.read_each", read_meanwhile)
    with pytest.raises(
        NotReady, match=r"2017-06-30.* must stay as it is while it is read, but (it changed|files came)"
    ):
        read(Settings(catalogue_url=str(tmp_path)))


def test_a_dated_folder_without_a_file_yet_is_waited_for(tmp_path: Path) -> None:
    deliver(str(tmp_path), "2017-06-29")
    deliver(str(tmp_path), "2017-06-30", "_c.csv.part")
    with pytest.raises(NotReady, match=r"date=2017-06-30 holds no catalogue yet"):
        read(Settings(catalogue_url=str(tmp_path)))


def link_out(root: Path) -> None:
    (root.parent / "secret.csv").write_bytes(CSV)
    (root / "date=2017-06-30" / "c.csv").unlink()
    (root / "date=2017-06-30" / "c.csv").symlink_to("../../secret.csv")


def folder_out(root: Path) -> None:
    (root / "date=2017-06-30").rename(root.parent / "elsewhere")
    (root / "date=2017-06-30").symlink_to(root.parent / "elsewhere")


def broken_link(root: Path) -> None:
    (root / "date=2017-06-30" / "c.csv").unlink()
    (root / "date=2017-06-30" / "c.csv").symlink_to("nowhere.csv")


def link_to_itself(root: Path) -> None:
    (root / "date=2017-06-30" / "c.csv").unlink()
    (root / "date=2017-06-30" / "c.csv").symlink_to("c.csv")


def folder_in_it(root: Path) -> None:
    (root / "date=2017-06-30" / "c.csv").rename(root / "c.csv")
    (root / "date=2017-06-30" / "c.csv").mkdir()


def no_folder(root: Path) -> None:
    (root / "date=2017-06-30" / "c.csv").unlink()
    (root / "date=2017-06-30").rmdir()
    (root / "date=2017-06-30").write_bytes(CSV)


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    root = tmp_path / "delivered"
    deliver(str(root), "2017-06-30")
    (root / "date=2017-06-30" / "c.csv").rename(root / "date=2017-06-30" / "[a-z].csv")
    assert len(read(Settings(catalogue_url=str(root))).products)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (link_out, r"date=2017-06-30/c\.csv must lie in .*, but leads out of it"),
        (folder_out, r"date=2017-06-30/c\.csv must lie in .*, but leads out of it"),
        (broken_link, r"date=2017-06-30/c\.csv must be a file"),
        (link_to_itself, r"date=2017-06-30/c\.csv must be a file"),
        (folder_in_it, r"date=2017-06-30/c\.csv must be a file"),
        (no_folder, r"date=2017-06-30 must be a folder"),
    ],
)
def test_a_delivery_that_leads_elsewhere_is_refused(tmp_path: Path, spoil: object, message: str) -> None:
    root = tmp_path / "delivered"
    deliver(str(root), "2017-06-30")
    spoil(root)
    with pytest.raises(BadInput, match=message):
        read(Settings(catalogue_url=str(root)))


def test_links_within_the_delivered_folder_are_followed(tmp_path: Path) -> None:
    root = tmp_path / "real"
    deliver(str(root), "2017-06-01")
    (root / "date=2017-06-30").mkdir()
    (root / "date=2017-06-30" / "c.csv").symlink_to("../date=2017-06-01/c.csv")
    (tmp_path / "link").symlink_to(root)
    hash_ = hash_file(root / "date=2017-06-01" / "c.csv")
    assert read(Settings(catalogue_url=str(tmp_path / "link"))).hashes == {"date=2017-06-30/c.csv": hash_}


def test_an_object_whose_name_climbs_is_refused() -> None:
    root, memory = f"/{uuid4().hex}", fsspec.filesystem("memory")
    memory.pipe_file(f"{root}/date=2017-06-30/c.csv", CSV)
    climbing = f"{root}/date=2017-06-30/../c.csv"
    memory.store[climbing] = memory.store[f"{root}/date=2017-06-30/c.csv"]
    try:
        with pytest.raises(BadInput, match=r"\.\. must lie in .*, but leads out of it"):
            read(Settings(catalogue_url=f"memory:/{root}"))
    finally:
        del memory.store[climbing]


def store(storage: Storage, path: str) -> str:
    with storage.write(path) as (folder, _):
        (folder / "products.parquet").write_text(path)
    return storage.read(path).hash


@hypothesis_settings(max_examples=40)
@given(
    stored=st.sets(st.dates(date(2016, 1, 1), date(2017, 12, 31)), max_size=6),
    day=st.dates(date(2016, 1, 1), date(2017, 12, 31)),
)
def test_a_night_sees_the_newest_stored_catalogue_up_to_its_day(stored: set[date], day: date) -> None:
    storage = Storage(f"memory://{uuid4().hex}")
    for of in stored:
        store(storage, Night.catalogue(of))
    night = Night.of(day, Settings())
    up_to_day = [of for of in stored if of <= day]
    if up_to_day:
        found, artefact = catalogue_of(night, storage)
        assert found == max(up_to_day)
        assert artefact == storage.read(Night.catalogue(found))
    else:
        with pytest.raises(NotReady, match=f"run ingest_catalogue --night {day}"):
            catalogue_of(night, storage)


def test_what_is_no_complete_catalogue_of_a_day_is_passed_over(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    stands = store(storage, "catalogue/date=2017-06-01")
    for name in ("date=2017-06-02.writing-1234abcd", "date=20170603", "date=2017-06-04x", "day=2017-06-05"):
        store(storage, f"catalogue/{name}")
    store(storage, "catalogue/date=2017-06-06")
    (tmp_path / "catalogue/date=2017-06-06/COMPLETE.json").unlink()
    found, artefact = catalogue_of(Night.of(DAY, Settings()), storage)
    assert (found, artefact.hash) == (date(2017, 6, 1), stands)
