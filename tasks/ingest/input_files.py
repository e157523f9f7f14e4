"""Delivered files: where they lie, which formats are accepted, and their columns read as text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from tasks.errors import BadInput
from tasks.ingest.file_format import FileFormat, root_of
from tasks.ingest.kinds import kind_by_name
from tasks.settings import Settings

NO_BLANK = r"[^\x09-\x0d\x20]"
LARGEST_WHOLE = 2.0**63  # doubles below are whole numbers of 64 bits, exactly
MAX_ID_LENGTH = 200  # PostgreSQL's indexes hold no more than some kilobytes
MAX_TEXT_BYTES = 4096  # of any text of a row: an engine makes two thousand of them at once in each thread
DEPTH = 8  # of folders below that of a day, such as hour=07
MAX_COLUMNS, MAX_NAMES = 1_000, 1 << 16  # of a file, and characters of their names together
MAX_CHUNK_BYTES = 1 << 30  # of a column in a row group of Parquet, which may be one page, which is unpacked whole


class Bounds(NamedTuple):
    """How much a delivered file may hold: rows, and bytes once it is unpacked."""

    rows: int
    bytes: int

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """MAX_FILE_ROWS and MAX_FILE_GIB."""
        return cls(settings.max_file_rows, int(settings.max_file_gib * (1 << 30)))

    def check_rows(self, rows: int) -> None:
        """Raise BadInput, the rest of a sentence about a file, where there are more."""
        if rows > self.rows:
            raise BadInput(
                f"must have at most MAX_FILE_ROWS rows, {self.rows:,}, but has {rows:,} or more: deliver it in several "
                "files, or set MAX_FILE_ROWS higher"
            )

    def check_bytes(self, size: int) -> None:
        """Raise BadInput, the rest of a sentence about a file, where there are more."""
        if size > self.bytes:
            raise BadInput(
                f"must have at most MAX_FILE_GIB when it is unpacked, {self.bytes / (1 << 30):g} GiB, but has more: "
                "deliver it in several files, or set MAX_FILE_GIB higher"
            )


def is_left_out(name: str) -> bool:
    """Whether a file or a folder tells of others, as _SUCCESS, _temporary and checksums (.crc) do."""
    return name.startswith(("_", ".")) or name.endswith(".crc")


def delivered_files(files: AbstractFileSystem, folder: str, root: str, depth: int = 0) -> list[str]:
    """The files in a folder of `root` and in its sub-folders, `depth` folders down, by name.

    Those that tell of others are left out: files and folders whose name begins with _ or a dot (_SUCCESS, _temporary),
    and checksums (.crc). Raises BadInput for what is no file, for what leads out of `root`, as a symbolic link may, and
    for folders that lie deeper, as a link that leads back does.
    """
    found: list[str] = []
    for path in sorted(files.ls(folder, detail=False)):
        name = PurePosixPath(path).name
        if (is_left_out(name) and name not in (".", "..")) or path == folder:
            continue
        is_folder = depth > 0 and files.isdir(path)
        is_file = not is_folder and files.isfile(path)
        if is_file or is_folder or not _is_below(path, root):
            check_inside(files, path, root)
        inside = delivered_files(files, path, root, depth - 1) if is_folder else [path] * is_file
        if not inside and not (is_folder and kind_by_name(name) is None):  # an empty folder hour=07 is none
            raise BadInput(f"{path} must be a file, but is none: remove it, then ingest again")
        found += inside
    return found


def check_inside(files: AbstractFileSystem, path: str, root: str) -> None:
    """Raise BadInput for a path that leads out of `root`, as a symbolic link may."""
    inside = _is_below(path, root)
    if inside and "file" in files.protocol:
        inside = Path(path).resolve().is_relative_to(Path(root).resolve())
    if not inside:
        raise BadInput(f"{path} must lie in {root}, but leads out of it: deliver it there itself, then ingest again")


def _is_below(path: str, root: str) -> bool:
    """Whether the names say so."""
    pure = PurePosixPath(path)
    return pure.is_relative_to(root) and ".." not in pure.relative_to(root).parts


@contextmanager
def reading_as(suffix: str, *errors: type[Exception]) -> Iterator[None]:
    """Raises BadInput, the rest of a sentence about a file, for content that does not read.

    errors: what its reader raises beside pyarrow's. Errors of the disk stay as they are.
    """
    try:
        yield
    except (OSError, pa.ArrowException, *errors) as error:
        if getattr(error, "errno", None) is not None:
            raise
        raise BadInput(f"does not read as {suffix}: {error}; write the file again") from error


def check_parquet(file: Path, file_format: FileFormat, bounds: Bounds) -> int:
    """The rows of a Parquet file, within bounds, that has the columns.

    Raises BadInput, the rest of a sentence about the file, where it is not Parquet, exceeds a bound, has a column twice
    or, where it has rows, lacks a required column or holds a list or an object in one of ours, unless a name with a dot
    or `items` says what in it is meant.
    """
    with reading_as(".parquet", UnicodeDecodeError):  # of a name of a column
        metadata = pq.read_metadata(file)
        schema = metadata.schema.to_arrow_schema()
    if len({name.lower() for name in schema.names}) < len(schema.names):
        raise BadInput(f"has a column twice among {', '.join(schema.names)}: name each once")
    if not metadata.num_rows:
        return 0
    check_width(schema.names)
    bounds.check_rows(metadata.num_rows)
    _check_chunks(metadata, bounds)
    check_columns(as_asked(schema.names, file_format.wanted), file_format)
    for name, theirs in actual_names(file_format, schema.names).items():
        takes_it = theirs == file_format.items or name in file_format.lists
        if pa.types.is_nested(schema.field(theirs).type) and not takes_it:
            raise BadInput(
                f"must hold text, numbers or times in column {theirs}, got {schema.field(theirs).type}: "
                f'name a field of it with a dot in {file_format.setting} ("{theirs}.id"), and a list as "items"'
            )
    return int(metadata.num_rows)


def as_asked(names: Sequence[str], wanted: set[str]) -> list[str]:
    """Columns of a file, called as a format calls them where case is all that differs."""
    asked = {name.casefold(): name for name in wanted - set(names)}
    return [asked.get(name.casefold(), name) for name in names]


def actual_names(file_format: FileFormat, seen: Sequence[str]) -> dict[str, str]:
    """Our name -> the file's column, of those that are a column of it, in whatever case."""
    folded = {name.casefold(): name for name in seen}
    folded |= {name: name for name in seen}
    found = ((name, theirs) for name, sources in file_format.sources.items() for theirs in reversed(sources))
    asked = ((name, folded.get(theirs) or folded.get(theirs.casefold())) for name, theirs in found)
    return {name: theirs for name, theirs in asked if theirs}


def check_columns(seen: Sequence[str], file_format: FileFormat) -> None:
    """Raise BadInput, the rest of a sentence about a file, where a required column is not among those seen.

    Of a name with a dot the column is enough in which it begins.
    """
    there, required = set(seen), [either.split(" or ") for either in file_format.required]
    columns = [[theirs for name in either for theirs in file_format.sources_of(name)] for either in required]
    missing = [names for names in columns if there.isdisjoint({*names, *map(root_of, names)})]
    if missing:
        asked = ", ".join(" or ".join(dict.fromkeys(names)) for names in missing)
        raise BadInput(
            f"has no column {asked}; its columns are {', '.join(seen)}: name the columns so, or say in "
            f"{file_format.setting} what they are called (columns) or, if the first line is a row already, are (header)"
        )


def check_width(columns: Sequence[str]) -> None:
    """Raise BadInput, the rest of a sentence about a file, for too many columns and for names that are too long."""
    characters = sum(map(len, columns))
    if len(columns) > MAX_COLUMNS or characters > MAX_NAMES:
        raise BadInput(
            f"must have at most {MAX_COLUMNS:,} columns, with names of {MAX_NAMES:,} characters together, but has "
            f"{len(columns):,} with {characters:,}: leave out what nobody needs"
        )


def _check_chunks(metadata: pq.FileMetaData, bounds: Bounds) -> None:
    total = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            total += chunk.total_uncompressed_size
            if chunk.total_uncompressed_size > MAX_CHUNK_BYTES:
                raise BadInput(
                    f"must have at most {MAX_CHUNK_BYTES:,} bytes of a column in a row group, but has "
                    f"{chunk.total_uncompressed_size:,} of {chunk.path_in_schema}: write it in smaller row groups"
                )
    bounds.check_bytes(total)


@ibis.udf.scalar.builtin(name="bit_length")  # type: ignore[untyped-decorator]
def _bits(text: str) -> int:  # type: ignore[empty-body]
    """The engine's own, which does not read the text, as counting its characters would."""


def exceeds(text: ibis.Value, size: int) -> ibis.Value:
    """Whether a text has more bytes than that."""
    return _bits(text) > 8 * size


@ibis.udf.scalar.builtin(name="left")  # type: ignore[untyped-decorator]
def beginning(text: str, characters: int) -> str:  # type: ignore[empty-body]
    """The engine's own: ibis' left says for every use of a text where its beginning is."""


def shortened(text: ibis.Value, size: int = MAX_TEXT_BYTES) -> ibis.Value:
    """Texts of more bytes by their beginning and their MD5, so that different ones still differ."""
    return ibis.ifelse(exceeds(text, size), beginning(text, size // 2) + "... MD5 " + text.hexdigest("md5"), text)


def digits_of(double: ibis.Value) -> ibis.Value:
    """A double as the whole number of 64 bits that it is; null where it is none."""
    near = ibis.ifelse(double.abs() < LARGEST_WHOLE, double, 0.5)
    return ibis.ifelse(near == near.floor(), near.cast("int64").cast("string"), None)


def as_text(column: ibis.Value, size: int = MAX_TEXT_BYTES) -> ibis.Value:
    """Blank is null; whole numbers have no fraction, whichever type they came as.

    Of a text of more bytes than `size` only the beginning is left, as many characters and one more.
    """
    dtype = column.type()
    if dtype.is_string():
        column = ibis.ifelse(exceeds(column, size), beginning(column, size + 1), column)
        maybe_blank = column < "!"  # what begins with a space or a control character: few are worth trimming
        holds_any = column.re_search(NO_BLANK)  # strip() of ibis 12 takes v and f from a text, too, on Spark
        return ibis.ifelse(maybe_blank, ibis.ifelse(holds_any, column, None), column)
    if dtype.is_floating():
        return ibis.ifelse(column.isnan(), None, ibis.coalesce(digits_of(column), column.cast("string")))
    if dtype.is_decimal():
        return column.cast("string").re_replace(r"\.0+$", "")
    return column.cast("string")
