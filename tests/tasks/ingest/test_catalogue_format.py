"""Catalogues as shop systems export them, read by what CATALOGUE_FORMAT says of them."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import BadInput
from tasks.ingest.catalogue import Catalogue
from tasks.settings import Settings
from tests.tasks.ingest.test_catalogue import read

SHOPIFY = {
    "product_id": "Handle", "title": "Title", "brand": "Vendor", "category": ["Product Category", "Type"],
    "price": "Variant Price", "image_url": "Image Src",
}  # fmt: skip


def with_format(folder: Path, name: str, content: bytes, **written: object) -> Catalogue:
    (folder / name).write_bytes(content)
    (folder / "format.json").write_text(json.dumps(written))
    return read(Settings(_env_file=None, catalogue_url=str(folder / name), catalogue_format=folder / "format.json"))


def as_shopify_writes(products: int) -> bytes:
    """Variants and pictures of a product are rows below it, which repeat its handle and no title."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    names = ("Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Variant Price", "Image Src")
    writer.writerow(names)
    html = '<p>A mug, "hand made".</p>\n<ul>\n<li>blue, 350 ml</li>\n</ul>'
    for place in range(products):
        category = "Home > Kitchen > Mugs" if place % 2 else ""
        writer.writerow(
            [f"mug-{place}", f"Mug {place}", html, "Acme", category, "Mugs", "", f"https://x.example/{place}"]
        )
        writer.writerow([f"mug-{place}", "", "", "", "", "", "12.50", f"https://x.example/{place}/back"])
        writer.writerow([f"mug-{place}", "", "", "", "", "", "13.50", ""])
    return text.getvalue().encode("utf-8-sig")


def test_an_export_of_shopify_is_one_product_a_handle(tmp_path: Path) -> None:
    catalogue = with_format(tmp_path, "products_export.csv", as_shopify_writes(20), columns=SHOPIFY)
    assert (len(catalogue.products), len(catalogue.refused)) == (20, 0)
    first = catalogue.products.to_pylist()[1]
    assert first | {"category": None} == {
        "product_id": "mug-1", "title": "Mug 1", "category": None, "brand": "Acme", "in_stock": True, "blocked": False,
        "price": "12.50", "image_url": "https://x.example/1",
    }  # fmt: skip
    assert set(catalogue.products["category"].to_pylist()) == {"Home > Kitchen > Mugs", "Mugs"}


def test_a_row_with_a_title_of_its_own_is_no_part_of_the_one_above(tmp_path: Path) -> None:
    content = b"Handle,Title\na,A\na,\na,B\n"
    with pytest.raises(BadInput, match=r"1 product ids more than once: a \(2 rows, from c.csv:2 to c.csv:4\)"):
        with_format(tmp_path, "c.csv", content, columns={"product_id": "Handle", "title": "Title"})


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
def test_titles_by_language_and_paths_of_categories(tmp_path: Path, kind: str) -> None:
    rows = [
        {
            "sku": 1,
            "title_en": "",
            "title_de": "Becher",
            "path": ["Haus", "Küche"],
            "photos": ["https://x.example/1", "y"],
        },
        {"sku": 2, "title_en": "Cup", "title_de": "Tasse", "path": [], "photos": []},
        {"sku": 3, "title_en": None, "title_de": None, "path": ["Haus"], "photos": []},
    ]
    columns = {"product_id": "sku", "title": ["title_en", "title_de"], "category": "path", "image_url": "photos"}
    if kind == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        content = buffer.getvalue()
    elif kind == "csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=";")
        writer.writerow([name.upper() for name in rows[0]])
        for row in rows:
            writer.writerow([*list(row.values())[:3], " > ".join(row["path"]), *(row["photos"][:1] or [""])])
        content = text.getvalue().encode("latin-1")
    else:
        content = "\n".join(json.dumps(row) for row in rows).encode()
    catalogue = with_format(tmp_path, f"c.{kind}", content, columns=columns, encoding="latin-1")
    found = [
        (row["product_id"], row["title"], row["category"], row["image_url"]) for row in catalogue.products.to_pylist()
    ]
    assert found == [("1", "Becher", "Haus > Küche", "https://x.example/1"), ("2", "Cup", None, None)]
    (refused,) = catalogue.refused.to_pylist()
    assert refused == {
        "product_id": "3", "reason": "missing_title", "file": f"c.{kind}", "row": 4 if kind == "csv" else 3
    }  # fmt: skip


def test_categories_that_are_objects(tmp_path: Path) -> None:
    row = {"id": 1, "name": {"en": "Cup"}, "categories": [{"name": "Home"}, {"name": "Mugs"}]}
    columns = {"product_id": "id", "title": ["name.fr", "name.en"], "category": "categories.name"}
    (product,) = with_format(tmp_path, "c.jsonl", json.dumps(row).encode(), columns=columns).products.to_pylist()
    assert (product["title"], product["category"]) == ("Cup", "Home > Mugs")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            {"columns": {"name": "title"}},
            "CATALOGUE_FORMAT must be a JSON file .*columns must be among product_id, title",
        ),
        ({"encoding": "latin-9000"}, "encoding must be one of Python's names"),
        ({"delimiter": "::"}, "delimiter must be one ASCII character"),
        (
            {"columns": {"title": "Name"}},
            r"has no column Name; its columns are product_id, title: .* in CATALOGUE_FORMAT",
        ),
    ],
)
def test_a_format_that_cannot_be(tmp_path: Path, written: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=r"(?s)" + message):
        with_format(tmp_path, "c.csv", b"product_id,title\n1,Tea\n", **written)
