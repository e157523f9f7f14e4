"""The catalogue: which products there are and what they are called, as delivered and as stored day by day."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import ibis
import pyarrow as pa
from fsspec import AbstractFileSystem
from ibis.backends import BaseBackend

from tasks.errors import BadInput, NotReady
from tasks.ingest.catalogue_format import COLUMNS, PARENT, CatalogueFormat
from tasks.ingest.conversion import Readable
from tasks.ingest.engine import FILE, count_rows, duckdb_engine, has_rows, materialise, open_parquet, place_of
from tasks.ingest.fetched import FetchedFile, fetch, read_each, watched
from tasks.ingest.input_files import DEPTH, MAX_ID_LENGTH, Bounds, as_text, delivered_files
from tasks.ingest.parsed_file import LINE
from tasks.ingest.unreadable import UnreadableLines
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Artefact, Storage, dated_folders
from tasks.stores.filesystems import open_filesystem

WRITTEN, PLACE = "id_as_written", "place"  # of a row among those of all files
# What is written for letters that a charset lacks, and titles without a letter or a digit in any script.
MAX_PRICE_CHARACTERS, MAX_ADDRESS_CHARACTERS = 50, 2_000
ADDRESS = r"^https?://[^\s\x00-\x1f\"'<>\\]+$"  # of a picture
LOST_LETTERS = r"\?\?|\x{FFFD}|^[^\p{L}\p{N}]*$"


@dataclass(frozen=True)
class Delivery:
    """The files of a catalogue that hold for a day.

    path: the one file, or the folder that they are in; delivered: the day of the folder date=D, None for a catalogue
    without history.
    """

    source: AbstractFileSystem
    root: str
    path: str
    files: Sequence[str]
    delivered: date | None

    @property
    def name(self) -> str:
        """What it is called below `root`: one file as itself, several as their folder."""
        path = PurePosixPath(self.files[0] if len(self.files) == 1 else self.path)
        return path.name if path == PurePosixPath(self.root) else str(path.relative_to(self.root))


@dataclass(frozen=True)
class Catalogue:
    """The rows of a catalogue's files together.

    products: product_id, title, category, brand (text), in_stock, blocked (bool), price (text, as delivered), image_url
    (http or https); unique and sorted by product_id.
    refused: product_id, reason (missing_product, missing_title, unfit_id, same_id, unfit_text, long_text), file and row
    (in a text file, its line) of the rows left out.
    hashes: SHA-256 of each file, by its name.
    """

    products: pa.Table
    refused: pa.Table
    hashes: Mapping[str, str]


def today() -> date:
    """The present UTC day."""
    return datetime.now(UTC).date()


def delivery_of(day: date, settings: Settings) -> Delivery:
    """What CATALOGUE_URL has for a day: a file, or the files of a folder, of its newest folder date=D up to the day.

    Files lie in folders as those of a log do, and without folders date=D in CATALOGUE_URL itself. Raises NotReady where
    nothing is delivered for the day yet, BadInput for a file, named, that is none or leads out of CATALOGUE_URL.
    """
    source, root = open_filesystem(settings.catalogue_url)
    if not source.isdir(root):
        if not source.exists(root):
            raise NotReady(f"there is no catalogue at {root}: deliver it, or set CATALOGUE_URL to where it is")
        return Delivery(source, str(PurePosixPath(root).parent), root, [root], None)
    folders = dated_folders(source, root)
    delivered = max((folder_day for folder_day in folders if folder_day <= day), default=None)
    if delivered is None and any(
        PurePosixPath(path).name.startswith("date=") for path in source.ls(root, detail=False)
    ):
        seen = f"its first is of {min(folders)}" if folders else "it has none"
        raise NotReady(
            f"{root} must have a folder date=YYYY-MM-DD of {day} or a day before, but {seen}: deliver the catalogue"
        )
    path = root if delivered is None else folders[delivered]
    if not source.isdir(path):
        raise BadInput(f"{path} must be a folder with a catalogue, but is not one: deliver it as a folder")
    files = _files_in(source, path, root)
    if not files:
        raise NotReady(f"{path} holds no catalogue yet: deliver its files there, or in a folder date=YYYY-MM-DD of it")
    return Delivery(source, root, path, files, delivered)


def _files_in(source: AbstractFileSystem, path: str, root: str) -> list[str]:
    return delivered_files(source, path, root, DEPTH) if source.isdir(path) else [path]


def read_catalogue(delivery: Delivery, settings: Settings) -> Catalogue:
    """Read the files of a catalogue as one table; its ids in their normal form.

    Raises BadInput for a file, named, that cannot be read, exceeds a bound or lacks a column; for a catalogue that has
    no product, an id twice, an in_stock or blocked that is not true or false, or titles whose letters were lost;
    NotReady for one that changed while it was read.
    """
    source = delivery.source
    with tempfile.TemporaryDirectory() as scratch, duckdb_engine(settings.memory_limit_gib) as engine:
        files = fetch(source, delivery.files, delivery.root, Path(scratch))
        with watched(source, files):
            hashes = {file.name: file.hash for file in files}
            rows = _read(engine, files, Path(scratch), settings)
            products, refused = _validate(_Rows(rows, [*hashes], delivery.path), settings)
        if _files_in(source, delivery.path, delivery.root) != delivery.files:
            raise NotReady(
                f"{delivery.path} must stay as it is while it is read, but files came or went: "
                "wait until it is complete, then run this step again"
            )
        return Catalogue(products, refused, hashes)


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


@dataclass(frozen=True)
class _Rows:
    """Rows of a catalogue with the number of their file and their line in it, and what both are called in words."""

    table: ibis.Table
    names: Sequence[str]
    path: str

    def at(self, row: Mapping[str, Any], which: str = "") -> str:
        """Where a row is, or one of several that it stands for."""
        return f"{self.names[row[which + FILE]]}:{row[which + LINE]}"


def _read(engine: BaseBackend, files: Sequence[FetchedFile], scratch: Path, settings: Settings) -> ibis.Table:
    """Every row of the files, its columns as text; those that a file lacks are null."""
    catalogue_format = CatalogueFormat.read(settings.catalogue_format)
    found = read_each(files, catalogue_format, Bounds.of(settings), scratch)
    rows: ibis.Table | None = None
    for number, file in enumerate(found):
        try:
            _check_readable(file.unreadable)
            texts = _texts(open_parquet(engine, [file.parquet]), file, catalogue_format, settings)
            if rows is None:
                rows = materialise(texts)
            else:
                engine.insert(rows.op().name, texts)
        except (BadInput, duckdb.Error) as error:
            fault = str(error) if isinstance(error, BadInput) else f"does not read as .parquet: {error}"
            raise BadInput(f"{files[number].name} {fault}") from error
    assert rows is not None  # noqa: S101 (a delivery has a file)
    return _one_row_a_product(_with_what_parents_say(rows) if PARENT in catalogue_format.columns else rows)


def _texts(rows: ibis.Table, file: Readable, catalogue_format: CatalogueFormat, settings: Settings) -> ibis.Table:
    """Our columns as text, the id also as it is written, and where each row is."""
    names, size = file.columns(catalogue_format), most_characters(settings)
    texts = file.texts(rows, catalogue_format, (*COLUMNS, PARENT), size)
    written = as_text(rows[names["product_id"]], size) if "product_id" in names else ibis.null("string")
    place = {PLACE: place_of(rows), FILE: rows[FILE], LINE: file.lines(rows)}
    return rows.select(**place, **texts, **{WRITTEN: written})


def most_characters(settings: Settings) -> int:
    """Beyond which a text of a catalogue need not be read to see that it does not fit."""
    return max(settings.max_title_characters, MAX_ID_LENGTH, MAX_ADDRESS_CHARACTERS)


def _one_row_a_product(rows: ibis.Table) -> ibis.Table:
    """Rows that add to a product above them, without a title of their own, as Shopify writes variants and pictures.

    They are one with the first row of their product that has a title; of each column the first value counts.
    """
    titled = ibis.ifelse(rows.title.notnull() & rows.product_id.notnull(), rows[PLACE], None)
    above = rows.mutate(above=titled.min().over(group_by="product_id"))
    adds = (above.title.isnull() & (above[PLACE] > above.above)).fill_null(False)
    of_product = above.mutate(of=ibis.ifelse(adds, above.above, above[PLACE]), adds=adds)
    if not has_rows(of_product.filter(of_product.adds)):
        return rows
    names = (FILE, LINE, WRITTEN, *COLUMNS)
    first = {name: of_product[name].first(order_by=of_product[PLACE]) for name in names}  # that is not null
    return materialise(of_product.group_by("of").agg(**first).rename({PLACE: "of"}))


def _with_what_parents_say(rows: ibis.Table) -> ibis.Table:
    """Variants have what they lack from the first row of their parent that has it, as in Shopify's exports.

    Rows of a parent without id and title, which add a picture, are gone.
    """
    shared = [name for name in COLUMNS if name != "product_id"]
    first = {f"first_{name}": rows[name].first(order_by=rows[PLACE]) for name in shared}  # that is not null
    parents = rows.filter(rows[PARENT].notnull()).group_by(PARENT).agg(**first)
    adds = rows.product_id.isnull() & rows.title.isnull() & rows[PARENT].notnull()
    of_parent = rows.filter(~adds).left_join(parents, PARENT)
    said = {name: ibis.coalesce(of_parent[name], of_parent[f"first_{name}"]) for name in shared}
    return materialise(of_parent.select(PLACE, FILE, LINE, WRITTEN, "product_id", **said))


def _check_readable(unreadable: UnreadableLines | None) -> None:
    """A catalogue is one table that its owner can correct, unlike a log: no line of it may be unreadable."""
    if unreadable and (first := unreadable.first):
        more = len(unreadable) - 1
        raise BadInput(
            f"must be readable in every line, but line {first.line}: {first.why} (and {more:,} more): correct it"
        )


def _validate(of: _Rows, settings: Settings) -> tuple[pa.Table, pa.Table]:
    _check_unique_ids(of)
    rows = materialise(of.table.mutate(is_repeated=_turn_of_its_id(of.table) > 0))
    of = replace(of, table=rows)
    _check_letters(of, settings)
    texts = (rows.title, rows.category, rows.brand)
    reason = ibis.cases(
        (rows.product_id.isnull(), "missing_product"),
        ((rows.product_id.length() > MAX_ID_LENGTH) | _has_zero_byte(rows.product_id), "unfit_id"),
        (rows.title.isnull(), "missing_title"),
        (rows.is_repeated, "same_id"),
        (ibis.or_(*map(_has_zero_byte, texts)), "unfit_text"),
        (ibis.or_(*(_is_long(text, settings) for text in texts)), "long_text"),
    )
    good = rows.filter(reason.isnull()).select(
        "product_id", title=rows.title.strip(), category=rows.category, brand=rows.brand,
        in_stock=_flag(of, "in_stock", absent=True), blocked=_flag(of, "blocked", absent=False),
        price=_shown(rows.price, MAX_PRICE_CHARACTERS, r"^[^\x00-\x1f]+$"),
        image_url=_shown(rows.image_url, MAX_ADDRESS_CHARACTERS, ADDRESS),
    )  # fmt: skip
    products = good.order_by("product_id").to_pyarrow()
    if not len(products):
        raise BadInput(f"the catalogue {of.path} holds no product with an id and a title: deliver it again")
    return products, _refused(of, reason)


def _refused(of: _Rows, reason: ibis.Value) -> pa.Table:
    """The rows that a reason is given for: product_id, reason, file, row."""
    rows = of.table.filter(reason.notnull())
    selected = rows.select(FILE, LINE, PLACE, product_id=rows.product_id.left(MAX_ID_LENGTH), reason=reason)
    found = selected.order_by("product_id", "reason", PLACE).to_pyarrow()
    files = pa.array(of.names, pa.string()).take(found[FILE].combine_chunks())
    return found.select(["product_id", "reason"]).append_column("file", files).append_column("row", found[LINE])


def _turn_of_its_id(rows: ibis.Table) -> ibis.Value:
    """0 for the row that counts of an id that is written in several ways: one with a title, in its normal form."""
    preferred = [rows.title.isnull(), rows[WRITTEN] != rows.product_id, rows[WRITTEN]]
    return ibis.row_number().over(group_by=rows.product_id, order_by=preferred)


def _has_zero_byte(text: ibis.Value) -> ibis.Value:
    """PostgreSQL stores no such text."""
    return text.re_search(r"\x00").fill_null(False)


def _shown(text: ibis.Value, most: int, pattern: str) -> ibis.Value:
    """What is shown to people alone: null where it does not fit, which is no reason to do without the product."""
    return ibis.cases((text.re_search(pattern) & (text.length() <= most), text), else_=ibis.null("string"))


def _is_long(text: ibis.Value, settings: Settings) -> ibis.Value:
    return (text.length() > settings.max_title_characters).fill_null(False)


def _check_letters(of: _Rows, settings: Settings) -> None:
    """Titles that went through a charset without their script still look like titles to a database."""
    titles = of.table.filter(of.table.title.notnull())
    lost = titles.filter(titles.title.re_search(LOST_LETTERS))
    count, total = count_rows(lost), count_rows(titles)
    if count > settings.max_quarantined_share * total or 0 < count == total:
        first = lost.order_by("product_id", PLACE).limit(1).to_pyarrow().to_pylist()[0]
        raise BadInput(
            f"at most {settings.max_quarantined_share:.0%} of the titles of the catalogue {of.path} may lack letters "
            f"or hold ?? for them, got {count:,} of {total:,}, such as {first['title'][:100]!r} of product "
            f"{first['product_id']} ({of.at(first)}): a charset has lost them; export the catalogue as UTF-8 from a "
            "database and client of that charset, or set MAX_QUARANTINED_SHARE higher"
        )


def _check_unique_ids(of: _Rows) -> None:
    rows = of.table
    fit = rows.product_id.length() <= MAX_ID_LENGTH  # of longer ones only the beginning is here
    first = {f"first_{name}": rows[name].argmin(rows[PLACE]) for name in (FILE, LINE)}
    last = {f"last_{name}": rows[name].argmax(rows[PLACE]) for name in (FILE, LINE)}
    ids = rows.filter(fit).group_by(WRITTEN).agg(rows=ibis._.count(), **first, **last)
    repeated = ids.filter(ids.rows > 1).order_by(WRITTEN)
    count = count_rows(repeated)
    if count:
        told = [
            f"{row[WRITTEN]} ({row['rows']} rows, from {of.at(row, 'first_')} to {of.at(row, 'last_')})"
            for row in repeated.limit(5).to_pyarrow().to_pylist()
        ]
        raise BadInput(
            f"the catalogue {of.path} holds {count:,} product ids more than once: {', '.join(told)}"
            f"{', ...' if count > 5 else ''}; keep one row of each"
        )


def _flag(of: _Rows, name: str, *, absent: bool) -> ibis.Value:
    rows = of.table
    flag = rows[name].try_cast("boolean")
    unclear = rows.filter(rows[name].notnull() & flag.isnull()).order_by("product_id", PLACE).limit(1)
    for row in unclear.to_pyarrow().to_pylist():
        raise BadInput(
            f"the catalogue {of.path} has {name} = {row[name]!r} of product {row['product_id']} ({of.at(row)}): "
            "write true or false"
        )
    return flag.fill_null(absent)
