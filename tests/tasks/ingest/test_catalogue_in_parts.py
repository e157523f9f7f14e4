"""Catalogues in several files, as Spark, Firehose and warehouses leave them in a folder: one table all the same."""

import gzip
import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import BadInput, NotReady
from tasks.ingest.catalogue import Catalogue, delivery_of, read_catalogue
from tasks.settings import Settings
from tasks.stores.artefacts import hash_file

DAY = date(2017, 6, 30)
ROWS = [
    {"product_id": "10", "title": "Tea", "brand": "Acme", "in_stock": "true"},
    {"product_id": "2", "title": "Red Cup", "brand": "", "in_stock": "false"},
    {"product_id": "7", "title": "", "brand": "Acme", "in_stock": ""},
    {"product_id": "8", "title": "Bowl", "brand": "", "in_stock": ""},
]


def read(folder: Path, **said: object) -> Catalogue:
    settings = Settings(_env_file=None, catalogue_url=str(folder))
    if said:
        (folder.parent / "format.json").write_text(json.dumps(said))
        settings = settings.model_copy(update={"catalogue_format": folder.parent / "format.json"})
    return read_catalogue(delivery_of(DAY, settings), settings)


def write(folder: Path, **parts: str) -> Path:
    """CSV files without a suffix, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in parts.items():
        (folder / name).write_text(text)
    return folder


def part(rows: list[dict[str, str]], kind: str) -> bytes:
    if kind == "parquet":
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        return buffer.getvalue().to_pybytes()
    if kind == "csv":
        lines = [",".join(ROWS[0]), *(",".join(row.values()) for row in rows)]
        return gzip.compress("\n".join([*lines, ""]).encode())
    return "".join(map(json.dumps, rows)).encode()  # without a line end between them, as Firehose writes objects


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
@pytest.mark.parametrize("within", ["", "date=2017-06-28", "date=2017-06-28/brand=x"])
def test_parts_are_one_table(tmp_path: Path, kind: str, within: str) -> None:
    root = tmp_path / "catalogue"
    folder = root / within
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"part-0000{number}").write_bytes(part(ROWS[2 * number : 2 * number + 2], kind))
        (folder / f".part-0000{number}.crc").write_bytes(b"crc\0\0")
    (folder / "_SUCCESS").touch()
    (tmp_path / "whole").write_bytes(part(ROWS, kind))
    found, whole = read(root), read(tmp_path / "whole")
    assert found.products == whole.products
    assert found.products["title"].to_pylist() == ["Tea", "Red Cup", "Bowl"]
    second = f"{within}/part-00001".removeprefix("/")
    line = {"parquet": 1, "csv": 2, "json": 1}[kind]
    assert found.refused.to_pylist() == [{"product_id": "7", "reason": "missing_title", "file": second, "row": line}]
    assert found.hashes[second] == hash_file(root / second)
    assert len(found.hashes) == 2


def test_parts_may_be_empty_and_have_columns_of_their_own(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "c",
        a="",
        b="product_id,title\n",
        c="product_id,title\n1,Tea\n",
        d="title,brand,product_id\nCup,Acme,2\n",
    )
    products = read(folder).products
    assert (products["title"].to_pylist(), products["brand"].to_pylist()) == (["Tea", "Cup"], [None, "Acme"])
    with pytest.raises(BadInput, match="c holds no product with an id and a title"):
        read(write(tmp_path / "none" / "c", a="", b="product_id,title\n"))


def test_ids_that_come_again_in_another_file_are_as_within_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", a="product_id,title\n1,Tea\n5,Pot\n", b="product_id,title\n2,Cup\n1,Mug\n")
    with pytest.raises(BadInput, match=r"1 product ids more than once: 1 \(2 rows, from a:2 to b:3\); keep one"):
        read(folder)
    (folder / "b").write_text("product_id,title\n2,Cup\n1 ,Mug\n")
    found = read(folder)
    assert found.products["title"].to_pylist() == ["Tea", "Cup", "Pot"]
    assert found.refused.to_pylist() == [{"product_id": "1", "reason": "same_id", "file": "b", "row": 3}]


def test_rows_of_one_product_may_be_parted(tmp_path: Path) -> None:
    header = "Handle,Variant SKU,Title,Variant Price\n"
    folder = write(
        tmp_path / "c", a=f"{header}mug,M-1,Mug,9\nmug,,,\n", b=f"{header}mug,M-2,,\nbowl,B-1,Bowl,\n,B-1,,7\n"
    )
    products = read(folder, preset="shopify").products.to_pylist()
    assert [(row["product_id"], row["title"], row["price"]) for row in products] == [
        ("B-1", "Bowl", "7"), ("M-1", "Mug", "9"), ("M-2", "Mug", "9")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b", "product_id,title\n1,Tea\n2\n", r"^b must be readable in every line, but line 3: 1 columns, not 2"),
        ("b", "product_id,name\n1,Tea\n", r"^b has no column title; its columns are product_id, name"),
        ("b.parquet", "product_id,title\n", r"^b\.parquet does not read as \.parquet"),
        ("b.zip", "PK\x03\x04", r"^b\.zip has no known suffix"),
    ],
)
def test_one_part_that_cannot_be_read_refuses_the_whole(tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = write(tmp_path / "c", a="product_id,title\n9,Pot\n")
    (folder / name).write_text(content)
    with pytest.raises(BadInput, match=message):
        read(folder)


def test_where_there_are_folders_of_days_files_beside_them_are_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path / "c", readme="how to read this\n")
    write(root / "date=2017-06-30", a="product_id,title\n9,Pot\n")
    assert read(root).products["title"].to_pylist() == ["Pot"]


def test_a_folder_that_is_empty_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "c" / "_temporary").mkdir(parents=True)
    with pytest.raises(NotReady, match="c holds no catalogue yet: deliver its files there"):
        read(tmp_path / "c")
