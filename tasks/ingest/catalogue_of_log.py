"""A catalogue of what a log says of its products: order lines and events often have their titles."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis.backends import BaseBackend

from tasks.errors import BadInput
from tasks.ingest.catalogue import most_characters
from tasks.ingest.catalogue_format import CatalogueFormat
from tasks.ingest.conversion import readable
from tasks.ingest.engine import FILE, ROW, duckdb_engine, open_parquet, place_of
from tasks.ingest.input_files import Bounds
from tasks.ingest.kinds import kind_of
from tasks.settings import Settings

NO_TITLES = ("nan", "none", "null", "n/a", "undefined", "(not set)")  # what programs write where there is none
TEXTS = ("product_id", "title", "category", "brand", "price", "image_url")  # stock and blocks are of no past event


def catalogue_of_log(files: Sequence[Path], file_format: CatalogueFormat, settings: Settings) -> pa.Table:
    """A row for each product that has a title in some row, sorted by product_id.

    Its title is the one that most rows have, since people also write notes there, of as frequent ones the last; of
    other columns the last value counts: that of the last file by name, and its last row. Lines that cannot be read are
    left to the ingest of the log to tell. Raises BadInput, naming the file, for one that cannot be read or lacks a
    column, and where no row has a title.
    """
    with tempfile.TemporaryDirectory() as scratch, duckdb_engine(settings.memory_limit_gib) as engine:
        tables = [
            _rows(engine, file, number, (file_format, settings), Path(scratch)) for number, file in enumerate(files)
        ]
        rows = ibis.union(*tables) if len(tables) > 1 else tables[0]
        found = _products(rows).order_by("product_id").to_pyarrow()
    if not len(found):
        raise BadInput(f"{files[0].name} must name a product with its title in one row at least, but none does")
    return found


def _products(rows: ibis.Table) -> ibis.Table:
    named = rows.filter(rows.product_id.notnull() & rows.title.notnull() & rows.title.lower().notin(NO_TITLES))
    place = place_of(named)
    titles = named.group_by("product_id", "title").agg(rows=named.count(), place=place.max())
    title = titles.title.first(order_by=[ibis.desc(titles["rows"]), ibis.desc(titles.place)])
    others = {name: named[name].last(order_by=place) for name in TEXTS if name not in ("product_id", "title")}
    last = named.group_by("product_id").agg(**others)
    return titles.group_by("product_id").agg(title=title).inner_join(last, "product_id").select(*TEXTS)


def write_catalogue_of_log(
    files: Sequence[Path], to: Path, file_format: CatalogueFormat, settings: Settings
) -> dict[str, int]:
    """Write the catalogue of a log as Parquet, whole or not at all; products of a former one that it lacks stay.

    Raises what `catalogue_of_log` raises, and BadInput where `to` is no catalogue that this wrote.
    """
    found = catalogue_of_log(files, file_format, settings)
    kept = 0
    if (former := former_catalogue(to)) is not None:
        others = former.filter(pc.invert(pc.is_in(former["product_id"], found["product_id"])))
        kept, found = len(others), pa.concat_tables([found, others.cast(found.schema)]).sort_by("product_id")
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f"{to.name}.part")
    pq.write_table(found, part)
    part.replace(to)
    return {"products": len(found), "products_kept": kept}


def former_catalogue(to: Path) -> pa.Table | None:
    """What stands where a catalogue of a log is to be written; raises BadInput where that is no such catalogue."""
    if not to.exists():
        return None
    try:
        seen = pq.read_schema(to).names
    except pa.ArrowException:
        seen = ["no Parquet"]
    if seen != list(TEXTS):
        raise BadInput(
            f"{to} must be a catalogue that split_by_day wrote, to which this log's products are added, with the "
            f"columns {', '.join(TEXTS)}, got {', '.join(seen)}: name another file"
        )
    return pq.read_table(to)


def _rows(
    engine: BaseBackend, file: Path, number: int, how: tuple[CatalogueFormat, Settings], scratch: Path
) -> ibis.Table:
    """product_id, title, ... as text, with the number of the file and the row."""
    file_format, settings = how
    local, target = (scratch / f"{number:05d}{end}" for end in (".parquet", "-converted.parquet"))
    local.symlink_to(file.resolve())
    try:
        found = readable(local, kind_of(local, file.name), file_format, target, Bounds.of(settings))
    except BadInput as refusal:
        raise BadInput(f"{file.name} {refusal}") from refusal
    rows, size = open_parquet(engine, [found.parquet]), most_characters(settings)
    texts = found.texts(rows, file_format, TEXTS, size)
    return rows.select(**texts, **{FILE: ibis.literal(number), ROW: rows[ROW]})
