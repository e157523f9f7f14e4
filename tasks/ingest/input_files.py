"""Delivered files: where they lie, which formats are accepted, and their columns read as text."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from tasks.errors import BadInput
from tasks.settings import Settings

SUFFIXES = (
    *(".parquet", ".csv", ".csv.gz", ".csv.zst"),
    *(".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".json.zst"),
)
LARGEST_WHOLE = 2.0**63  # doubles below are whole numbers of 64 bits, exactly
MAX_ID_LENGTH = 200  # PostgreSQL's indexes hold no more than some kilobytes
MAX_TEXT_BYTES = 4096  # of any text of a row: an engine makes two thousand of them at once in each thread
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


def delivered_files(files: AbstractFileSystem, folder: str, root: str) -> list[str]:
    """The files in a folder of `root` by name, without those whose name begins with _ or a dot.

    Raises BadInput for one that is no file and for one that leads out of `root`, as a symbolic link may.
    """
    names = {path: PurePosixPath(path).name for path in files.ls(folder, detail=False)}
    delivered = sorted(path for path, name in names.items() if not name.startswith(("_", ".")) or name in (".", ".."))
    for path in delivered:
        if _is_below(path, root) and not files.isfile(path):
            raise BadInput(f"{path} must be a file, but is none: remove it, then ingest again")
        check_inside(files, path, root)
    return delivered


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
def local_copies(files: AbstractFileSystem, paths: Sequence[str]) -> Iterator[list[Path]]:
    """Local paths of files: their own where they are local, else copies that go afterwards."""
    if "file" in files.protocol:
        yield [Path(path) for path in paths]
        return
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder, *PurePosixPath(path).parts[-2:]) for path in paths]
        for path, copy in zip(paths, copies, strict=True):
            copy.parent.mkdir(exist_ok=True)
            files.get_file(path, str(copy))
        yield copies


def suffix_of(name: str) -> str:
    """The accepted suffix that a file name ends in; raises BadInput, listing them, for any other."""
    suffix = "".join(PurePosixPath(name.lower()).suffixes[-2:])
    for accepted in SUFFIXES:
        if suffix.endswith(accepted):
            return accepted
    raise BadInput(f"{name} has no known suffix: accepted are {', '.join(SUFFIXES)}; rename, convert or remove it")


def check_parquet(file: Path, names: Mapping[str, str], required: Sequence[str], bounds: Bounds) -> int:
    """The rows of a Parquet file whose columns can be read as text; names: our name -> the file's name.

    Raises BadInput, the rest of a sentence about the file, where it is not Parquet, exceeds a bound, has a column twice
    or, where it has rows, lacks a required column or holds anything but text, numbers, times and flags in one of
    `names`.
    """
    try:
        metadata = pq.read_metadata(file)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"does not read as .parquet: {error}; write the file again") from error
    if len({name.lower() for name in schema.names}) < len(schema.names):
        raise BadInput(f"has a column twice among {', '.join(schema.names)}: name each once")
    if not metadata.num_rows:
        return 0
    check_width(schema.names)
    bounds.check_rows(metadata.num_rows)
    _check_chunks(metadata, bounds)
    check_columns(schema.names, names, required)
    for name in names.values():
        if name in schema.names and not _is_plain(schema.field(name).type):
            raise BadInput(
                f"must hold text, numbers or times in column {name}, got {schema.field(name).type}: "
                "write the file again"
            )
    return int(metadata.num_rows)


def check_columns(seen: Sequence[str], names: Mapping[str, str], required: Sequence[str]) -> None:
    """Raise BadInput, the rest of a sentence about a file, where a required column is not among those seen.

    required: our names; "a or b" asks for one of the two.
    """
    columns = [[names[name] for name in either.split(" or ")] for either in required]
    if missing := [" or ".join(dict.fromkeys(either)) for either in columns if not set(either) & set(seen)]:
        raise BadInput(f"has no column {', '.join(missing)}; its columns are {', '.join(seen)}: name the columns so")


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


def shortened(text: ibis.Value, size: int = MAX_TEXT_BYTES) -> ibis.Value:
    """Texts of more bytes by their beginning and their MD5, so that different ones still differ."""
    return ibis.ifelse(exceeds(text, size), text.left(size // 2) + "... MD5 " + text.hexdigest("md5"), text)


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
        column = ibis.ifelse(exceeds(column, size), column.left(size + 1), column)
        maybe_blank = column < "!"  # what begins with a space or a control character: few are worth trimming
        return ibis.ifelse(maybe_blank, ibis.ifelse(column.strip() == "", None, column), column)
    if dtype.is_floating():
        return ibis.ifelse(column.isnan(), None, ibis.coalesce(digits_of(column), column.cast("string")))
    if dtype.is_decimal():
        return column.cast("string").re_replace(r"\.0+$", "")
    return column.cast("string")


def _is_plain(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):
        return _is_plain(dtype.value_type)
    return not (pa.types.is_nested(dtype) or pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype))
