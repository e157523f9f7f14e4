import gzip
import json
from pathlib import Path
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.catalogue import read_catalogue
from tasks.errors import BadInput, NotReady
from tasks.settings import Settings
from tasks.storage import hash_file

CSV = b"product_id,title,brand,in_stock,blocked\n10,Tea,Acme,true,false\n2,  Red Cup ,,false,TRUE\n7, ,Acme,,\n"


def at(tmp_path: Path, name: str, content: bytes) -> Settings:
    (tmp_path / name).write_bytes(content)
    return Settings(catalogue_url=str(tmp_path / name))


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
    catalogue = read_catalogue(settings)
    common = {"category": None}
    assert catalogue.products.to_pylist() == [
        common | {"product_id": "10", "title": "Tea", "brand": "Acme", "in_stock": True, "blocked": False},
        common | {"product_id": "2", "title": "Red Cup", "brand": None, "in_stock": False, "blocked": True},
    ]
    assert catalogue.products.column_names == ["product_id", "title", "category", "brand", "in_stock", "blocked"]
    assert catalogue.refused.to_pylist() == [{"product_id": "7", "reason": "missing_title"}]
    assert catalogue.hash == hash_file(Path(settings.catalogue_url))


def test_products_without_flags_are_in_stock_and_not_blocked(tmp_path: Path) -> None:
    (product,) = read_catalogue(at(tmp_path, "c.csv", as_csv("1,Tea"))).products.to_pylist()
    assert (product["in_stock"], product["blocked"]) == (True, False)


def test_products_are_sorted_by_the_text_of_their_id(tmp_path: Path) -> None:
    catalogue = read_catalogue(at(tmp_path, "c.csv", as_csv("b,B", "é,E", "10,ten", "9,nine", "B,b", "0012,twelve")))
    assert catalogue.products["product_id"].to_pylist() == ["0012", "10", "9", "B", "b", "é"]


def test_products_without_an_id_or_a_title_are_refused_and_the_others_kept(tmp_path: Path) -> None:
    catalogue = read_catalogue(at(tmp_path, "c.csv", as_csv(",no id", ",", "1,", "2,Tea")))
    assert catalogue.products["product_id"].to_pylist() == ["2"]
    assert catalogue.refused.to_pylist() == [
        {"product_id": "1", "reason": "missing_title"},
        {"product_id": None, "reason": "missing_product"},
        {"product_id": None, "reason": "missing_product"},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            as_csv("1,a", "2,b", "1,c", "3,", "3,d"),
            r"2 product ids more than once: 1 \(2 rows\), 3 \(2 rows\); keep one",
        ),
        (
            as_csv(*[f"{i % 9},t" for i in range(18)]),
            r"9 product ids more than once: 0 \(2 rows\), .*4 \(2 rows\), \.\.\.",
        ),
        (as_csv("1,x", header="product_id,name"), r"c\.csv has no column title; its columns are product_id, name"),
        (b"", "no product with an id and a title"),
        (as_csv(), "no product with an id and a title"),
        (as_csv("1,", ",b"), "no product with an id and a title"),
        (as_csv("1,a", "2"), r"c\.csv does not read as \.csv: .*Line: 3"),
        (as_csv("1,a,perhaps", header="product_id,title,blocked"), "blocked = 'perhaps' of product 1: write true or"),
    ],
)
def test_a_catalogue_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_catalogue(at(tmp_path, "c.csv", content))


def test_a_file_that_is_not_what_its_suffix_says(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"c\.parquet does not read as \.parquet"):
        read_catalogue(at(tmp_path, "c.parquet", CSV))
    with pytest.raises(BadInput, match=r"c\.xlsx has no known suffix: accepted are \.parquet, \.csv"):
        read_catalogue(at(tmp_path, "c.xlsx", b"PK"))


def test_a_catalogue_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"no catalogue at .*nowhere\.csv: deliver it, or set CATALOGUE_URL"):
        read_catalogue(Settings(catalogue_url=str(tmp_path / "nowhere.csv")))


def test_a_remote_catalogue() -> None:
    url = f"memory://{uuid4().hex}/c.csv"
    fsspec.filesystem("memory").pipe_file(url, CSV)
    assert read_catalogue(Settings(catalogue_url=url)).products["title"].to_pylist() == ["Tea", "Red Cup"]
