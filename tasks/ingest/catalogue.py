"""The catalogue: which products there are and what they are called, as delivered and as stored day by day."""

import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath

import duckdb
import ibis
import pyarrow as pa
from fsspec import AbstractFileSystem
from ibis.backends import BaseBackend

from tasks.errors import BadInput, NotReady
from tasks.ingest.catalogue_format import COLUMNS, PARENT, CatalogueFormat
from tasks.ingest.conversion import readable
from tasks.ingest.engine import ROW, count_rows, duckdb_engine, materialise, open_parquet
from tasks.ingest.input_files import MAX_ID_LENGTH, Bounds, as_text, delivered_files, local_copies
from tasks.ingest.kinds import kind_of
from tasks.ingest.unreadable import UnreadableLines
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Artefact, Storage, dated_folders, hash_file
from tasks.stores.filesystems import open_filesystem

WRITTEN = "id_as_written"
# What is written for letters that a charset lacks, and titles without a letter or a digit in any script.
MAX_PRICE_CHARACTERS, MAX_ADDRESS_CHARACTERS = 50, 2_000
ADDRESS = r"^https?://[^\s\x00-\x1f\"'<>\\]+$"  # of a picture
LOST_LETTERS = r"\?\?|\x{FFFD}|^[^\p{L}\p{N}]*$"


@dataclass(frozen=True)
class Delivery:
    """A catalogue file that holds for a day; `delivered` is the day of its folder, None for a file without history."""

    files: AbstractFileSystem
    path: str
    name: str
    delivered: date | None


@dataclass(frozen=True)
class Catalogue:
    """The rows of a catalogue file.

    products: product_id, title, category, brand (text), in_stock, blocked (bool), price (text, as delivered), image_url
    (http or https); unique and sorted by product_id.
    refused: product_id, reason (missing_product, missing_title, unfit_id, unfit_text, long_text) of the rows left out.
    hash: SHA-256 of the file.
    """

    products: pa.Table
    refused: pa.Table
    hash: str


def today() -> date:
    """The present UTC day."""
    return datetime.now(UTC).date()


def delivery_of(day: date, settings: Settings) -> Delivery:
    """The file of CATALOGUE_URL that holds for a day: the one file, or that of the newest dated folder up to the day.

    Raises NotReady where nothing is delivered for the day yet, BadInput for a dated folder with several files and for a
    file, named, that is none or leads out of CATALOGUE_URL.
    """
    files, root = open_filesystem(settings.catalogue_url)
    if not files.isdir(root):
        if not files.exists(root):
            raise NotReady(f"there is no catalogue at {root}: deliver it, or set CATALOGUE_URL to where it is")
        return Delivery(files, root, PurePosixPath(root).name, None)
    folders = dated_folders(files, root)
    up_to_day = [delivered for delivered in folders if delivered <= day]
    if not up_to_day:
        seen = f"its first is of {min(folders)}" if folders else "it has none"
        raise NotReady(
            f"{root} must have a folder date=YYYY-MM-DD of {day} or a day before, but {seen}: deliver the catalogue"
        )
    delivered = max(up_to_day)
    path = _only_file(files, folders[delivered], root)
    return Delivery(files, path, f"date={delivered}/{PurePosixPath(path).name}", delivered)


def read_catalogue(delivery: Delivery, settings: Settings) -> Catalogue:
    """Read a catalogue file; its ids in their normal form.

    Raises BadInput for a file that cannot be read, exceeds a bound, has no product, lacks a column, holds an id twice,
    has an in_stock or blocked that is not true or false, or titles whose letters were lost; NotReady for one that
    changed while it was read.
    """
    with local_copies(delivery.files, [delivery.path]) as (file,), duckdb_engine(settings.memory_limit_gib) as engine:
        hash_before = hash_file(file)
        products, refused = _validate(_read(engine, file, settings), delivery.path, settings)
        if hash_file(file) != hash_before:
            raise NotReady(
                f"the catalogue {delivery.path} must stay as it is while it is read, but it changed: "
                "wait until it is complete, then run ingest_catalogue again"
            )
        return Catalogue(products, refused, hash_before)


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


def _only_file(files: AbstractFileSystem, folder: str, root: str) -> str:
    if not files.isdir(folder):
        raise BadInput(f"{folder} must be a folder with one catalogue, but is not one: deliver it as a folder")
    found = delivered_files(files, folder, root)
    if not found:
        raise NotReady(f"{folder} holds no catalogue yet: deliver it there, or remove the folder")
    if len(found) > 1:
        names = ", ".join(PurePosixPath(path).name for path in found[:5])
        raise BadInput(f"{folder} must hold one catalogue, got {len(found)} files ({names}): keep one of them")
    return found[0]


def _read(engine: BaseBackend, file: Path, settings: Settings) -> ibis.Table:
    """Every row of the file, its columns as text; those that it lacks are null."""
    catalogue_format, short_name = CatalogueFormat.read(settings.catalogue_format), f"{file.parent.name}/{file.name}"
    size = most_characters(settings)
    kind = kind_of(file, file.name)
    with tempfile.TemporaryDirectory() as scratch:
        local, target = (Path(scratch, name) for name in ("0.parquet", "00.parquet"))
        local.symlink_to(file.resolve())  # a name of our own, because DuckDB takes some for patterns
        try:
            found = readable(local, kind, catalogue_format, target, Bounds.of(settings))
            _check_readable(found.unreadable)
            rows, names = open_parquet(engine, [found.parquet]), found.columns(catalogue_format)
            columns = (*COLUMNS, PARENT) if PARENT in names and PARENT in catalogue_format.columns else COLUMNS
            written = as_text(rows[names["product_id"]], size) if "product_id" in names else ibis.null("string")
            texts = found.texts(rows, catalogue_format, columns, size) | {WRITTEN: written}
            rows = materialise(rows.select(ROW, **texts))
            return _one_row_a_product(_with_what_parents_say(rows) if PARENT in columns else rows)
        except (BadInput, duckdb.Error) as error:
            fault = str(error) if isinstance(error, BadInput) else f"does not read as .parquet: {error}"
            raise BadInput(f"{short_name} {fault}") from error


def most_characters(settings: Settings) -> int:
    """Beyond which a text of a catalogue need not be read to see that it does not fit."""
    return max(settings.max_title_characters, MAX_ID_LENGTH, MAX_ADDRESS_CHARACTERS)


def _one_row_a_product(rows: ibis.Table) -> ibis.Table:
    """Rows that add to a product above them, without a title of their own, as Shopify writes variants and pictures.

    They are one with the first row of their product that has a title; of each column the first value counts.
    """
    titled = ibis.ifelse(rows.title.notnull() & rows.product_id.notnull(), rows[ROW], None)
    above = rows.mutate(above=titled.min().over(group_by="product_id"))
    adds = (above.title.isnull() & (above[ROW] > above.above)).fill_null(False)
    of_product = above.mutate(of=ibis.ifelse(adds, above.above, above[ROW]), adds=adds)
    if not count_rows(of_product.filter(of_product.adds)):
        return rows.drop(ROW)
    first = {name: of_product[name].first(order_by=of_product[ROW]) for name in (*COLUMNS, WRITTEN)}  # that is not null
    return materialise(of_product.group_by("of").agg(**first).drop("of"))


def _with_what_parents_say(rows: ibis.Table) -> ibis.Table:
    """Variants have what they lack from the first row of their parent that has it, as in Shopify's exports.

    Rows of a parent without id and title, which add a picture, are gone.
    """
    shared = [name for name in COLUMNS if name != "product_id"]
    first = {f"first_{name}": rows[name].first(order_by=rows[ROW]) for name in shared}  # that is not null
    parents = rows.filter(rows[PARENT].notnull()).group_by(PARENT).agg(**first)
    adds = rows.product_id.isnull() & rows.title.isnull() & rows[PARENT].notnull()
    of_parent = rows.filter(~adds).left_join(parents, PARENT)
    said = {name: ibis.coalesce(of_parent[name], of_parent[f"first_{name}"]) for name in shared}
    return materialise(of_parent.select(ROW, WRITTEN, "product_id", **said))


def _check_readable(unreadable: UnreadableLines | None) -> None:
    """A catalogue is one table that its owner can correct, unlike a log: no line of it may be unreadable."""
    if unreadable and (first := unreadable.first):
        more = len(unreadable) - 1
        raise BadInput(
            f"must be readable in every line, but line {first.line}: {first.why} (and {more:,} more): correct it"
        )


def _validate(rows: ibis.Table, path: str, settings: Settings) -> tuple[pa.Table, pa.Table]:
    _check_unique_ids(rows, path)
    rows = materialise(rows.mutate(is_repeated=_turn_of_its_id(rows) > 0))
    _check_letters(rows, path, settings)
    texts = (rows.title, rows.category, rows.brand)
    reason = ibis.cases(
        (rows.product_id.isnull(), "missing_product"),
        ((rows.product_id.length() > MAX_ID_LENGTH) | _has_zero_byte(rows.product_id), "unfit_id"),
        (rows.title.isnull(), "missing_title"),
        (rows.is_repeated, "same_id"),
        (ibis.or_(*map(_has_zero_byte, texts)), "unfit_text"),
        (ibis.or_(*(_is_long(text, settings) for text in texts)), "long_text"),
    )
    refused = rows.filter(reason.notnull()).select(product_id=rows.product_id.left(MAX_ID_LENGTH), reason=reason)
    good = rows.filter(reason.isnull()).select(
        "product_id", title=rows.title.strip(), category=rows.category, brand=rows.brand,
        in_stock=_flag(rows, "in_stock", path, absent=True), blocked=_flag(rows, "blocked", path, absent=False),
        price=_shown(rows.price, MAX_PRICE_CHARACTERS, r"^[^\x00-\x1f]+$"),
        image_url=_shown(rows.image_url, MAX_ADDRESS_CHARACTERS, ADDRESS),
    )  # fmt: skip
    products = good.order_by("product_id").to_pyarrow()
    if not len(products):
        raise BadInput(f"the catalogue {path} holds no product with an id and a title: deliver it again")
    return products, refused.order_by("product_id", "reason").to_pyarrow()


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


def _check_letters(rows: ibis.Table, path: str, settings: Settings) -> None:
    """Titles that went through a charset without their script still look like titles to a database."""
    titles = rows.filter(rows.title.notnull())
    lost = titles.filter(titles.title.re_search(LOST_LETTERS))
    count, total = count_rows(lost), count_rows(titles)
    if count > settings.max_quarantined_share * total or 0 < count == total:
        first = lost.order_by("product_id").limit(1).to_pyarrow().to_pylist()[0]
        raise BadInput(
            f"at most {settings.max_quarantined_share:.0%} of the titles of the catalogue {path} may lack letters or "
            f"hold ?? for them, got {count:,} of {total:,}, such as {first['title'][:100]!r} of product "
            f"{first['product_id']}: a charset has lost them; export the catalogue as UTF-8 from a database and client "
            "of that charset, or set MAX_QUARANTINED_SHARE higher"
        )


def _check_unique_ids(rows: ibis.Table, path: str) -> None:
    fit = rows.product_id.length() <= MAX_ID_LENGTH  # of longer ones only the beginning is here
    ids = rows.filter(fit).group_by(WRITTEN).agg(rows=ibis._.count())
    repeated = ids.filter(ids.rows > 1).order_by(WRITTEN)
    count = count_rows(repeated)
    if count:
        first = ", ".join(f"{id_} ({times} rows)" for id_, times in repeated.limit(5).execute().itertuples(index=False))
        raise BadInput(
            f"the catalogue {path} holds {count:,} product ids more than once: {first}{', ...' if count > 5 else ''}; "
            "keep one row of each"
        )


def _flag(rows: ibis.Table, name: str, path: str, *, absent: bool) -> ibis.Value:
    flag = rows[name].try_cast("boolean")
    unclear = rows.filter(rows[name].notnull() & flag.isnull()).order_by("product_id").limit(1).to_pyarrow().to_pylist()
    if unclear:
        raise BadInput(
            f"the catalogue {path} has {name} = {unclear[0][name]!r} of product {unclear[0]['product_id']}: "
            "write true or false"
        )
    return flag.fill_null(absent)
