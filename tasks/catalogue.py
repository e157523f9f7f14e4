"""The catalogue: which products there are and what they are called."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

import ibis
import pyarrow as pa
from fsspec import AbstractFileSystem

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.settings import Settings
from tasks.storage import Artefact, Storage, hash_file
from tasks.tables import duckdb_engine, local_copies, place, read_table, suffix_of

REQUIRED = ("product_id", "title")


@dataclass(frozen=True)
class Catalogue:
    """What the catalogue file says.

    products: product_id, title, category, brand (text), in_stock, blocked (bool); unique and sorted by product_id.
    refused: product_id, reason (missing_product, missing_title) of the rows left out.
    hash: SHA-256 of the file.
    """

    products: pa.Table
    refused: pa.Table
    hash: str


def read_catalogue(settings: Settings) -> Catalogue:
    """Read the catalogue file; ids stay the text they are.

    Raises NotReady where there is no file, BadInput for a file that cannot be read, has no product, lacks a column,
    holds an id twice or has an in_stock or blocked that is not true or false.
    """
    files, path = place(settings.catalogue_url)
    suffix_of(path)
    if not files.exists(path):
        raise NotReady(f"there is no catalogue at {path}: deliver it, or set CATALOGUE_URL to where it is")
    with local_copies(files, [path]) as (file,), duckdb_engine() as engine:
        rows = read_table(engine, file, REQUIRED)
        products, refused = _judge(rows, path)
        return Catalogue(products, refused, hash_file(file))


def catalogue_of(night: Night, storage: Storage) -> tuple[date, Artefact]:
    """The newest complete stored catalogue of a day on or before the night's own, and that day.

    Raises NotReady where no such catalogue is stored.
    """
    stored = dated_folders(storage.files, f"{storage.root}/catalogue")
    for day in sorted((day for day in stored if day <= night.day), reverse=True):
        if storage.complete(Night.catalogue(day)):
            return day, storage.read(Night.catalogue(day))
    raise NotReady(
        f"night {night} needs the catalogue of its day or of a day before, but {storage.root}/catalogue holds none: "
        f"run ingest_catalogue --night {night}"
    )


def dated_folders(files: AbstractFileSystem, root: str) -> dict[date, str]:
    """The folders date=YYYY-MM-DD in a folder, by day; other names are passed over, a folder that is missing is empty."""
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in files.ls(root, detail=False):
            key, _, day = PurePosixPath(path).name.partition("=")
            with suppress(ValueError):
                if key == "date" and date.fromisoformat(day).isoformat() == day:
                    found[date.fromisoformat(day)] = path
    return found


def _judge(rows: ibis.Table, path: str) -> tuple[pa.Table, pa.Table]:
    _demand_unique_ids(rows, path)
    reason = ibis.cases((rows.product_id.isnull(), "missing_product"), (rows.title.isnull(), "missing_title"))
    refused = rows.mutate(reason=reason).filter(reason.notnull()).select("product_id", "reason")
    products = rows.filter(reason.isnull()).select(
        "product_id", title=rows.title.strip(), category=_text(rows, "category"), brand=_text(rows, "brand"),
        in_stock=_flag(rows, "in_stock", path, absent=True), blocked=_flag(rows, "blocked", path, absent=False),
    )  # fmt: skip
    if not products.count().execute():
        raise BadInput(f"the catalogue {path} holds no product with an id and a title: deliver it again")
    return products.order_by("product_id").to_pyarrow(), refused.order_by("product_id").to_pyarrow()


def _demand_unique_ids(rows: ibis.Table, path: str) -> None:
    ids = rows.filter(rows.product_id.notnull()).group_by("product_id").agg(rows=ibis._.count())
    twice = ids.filter(ids.rows > 1).order_by("product_id")
    count = twice.count().execute()
    if count:
        some = ", ".join(f"{id_} ({times} rows)" for id_, times in twice.limit(5).execute().itertuples(index=False))
        raise BadInput(
            f"the catalogue {path} holds {count:,} product ids more than once: {some}{', ...' if count > 5 else ''}; "
            "keep one row of each"
        )


def _text(rows: ibis.Table, name: str) -> ibis.Value:
    return rows[name] if name in rows.columns else ibis.null("string")


def _flag(rows: ibis.Table, name: str, path: str, *, absent: bool) -> ibis.Value:
    if name not in rows.columns:
        return ibis.literal(absent)
    flag = rows[name].try_cast("boolean")
    unclear = rows.filter(rows[name].notnull() & flag.isnull()).order_by("product_id").limit(1).to_pyarrow().to_pylist()
    if unclear:
        raise BadInput(
            f"the catalogue {path} says {name} = {unclear[0][name]!r} of product {unclear[0]['product_id']}: "
            "write true or false"
        )
    return flag.fill_null(absent)
