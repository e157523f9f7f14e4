"""Delivered files: where they lie, which formats are accepted, and their columns read as text."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from tasks.errors import BadInput

SUFFIXES = (
    *(".parquet", ".csv", ".csv.gz", ".csv.zst"),
    *(".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".json.zst"),
)
LARGEST_EXACT_FLOAT = 2.0**53
MAX_ID_LENGTH = 200  # PostgreSQL's indexes hold no more than some kilobytes


def open_filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL and the path in it; listings are never cached, because others write there."""
    files, path = url_to_fs(url, use_listings_cache=False)
    return files, path


def delivered_files(files: AbstractFileSystem, folder: str, root: str) -> list[str]:
    """The files in a folder of `root` by name, without those whose name begins with _ or a dot.

    Raises BadInput for one that is no file and for one that leads out of `root`, as a symbolic link may.
    """
    names = {path: PurePosixPath(path).name for path in files.ls(folder, detail=False)}
    delivered = sorted(path for path, name in names.items() if not name.startswith(("_", ".")) or name in (".", ".."))
    for path in delivered:
        _check_file_inside(files, path, root)
    return delivered


def _check_file_inside(files: AbstractFileSystem, path: str, root: str) -> None:
    pure = PurePosixPath(path)
    inside = pure.is_relative_to(root) and ".." not in pure.relative_to(root).parts
    if inside and not files.isfile(path):
        raise BadInput(f"{path} must be a file, but is none: remove it, then ingest again")
    if inside and "file" in files.protocol:
        inside = Path(path).resolve().is_relative_to(Path(root).resolve())
    if not inside:
        raise BadInput(f"{path} must lie in {root}, but leads out of it: deliver the file itself, then ingest again")


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


def check_parquet(file: Path, names: Mapping[str, str], required: Sequence[str]) -> int:
    """The rows of a Parquet file whose columns can be read as text; names: our name -> the file's name.

    Raises BadInput, the rest of a sentence about the file, where it is not Parquet, has a column twice or, where it has
    rows, lacks a required column or holds anything but text, numbers, times and flags in one of `names`.
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


def as_text(column: ibis.Value) -> ibis.Value:
    """Blank is null; whole numbers have no fraction, whichever type they came as."""
    dtype = column.type()
    if dtype.is_string():
        maybe_blank = column < "!"  # what begins with a space or a control character: few are worth trimming
        return ibis.ifelse(maybe_blank, ibis.ifelse(column.strip() == "", None, column), column)
    if dtype.is_floating():
        whole = (column == column.floor()) & (column.abs() <= LARGEST_EXACT_FLOAT)
        text = ibis.ifelse(whole, ibis.ifelse(whole, column, 0).cast("int64").cast("string"), column.cast("string"))
        return ibis.ifelse(column.isnan(), None, text)
    if dtype.is_decimal():
        return column.cast("string").re_replace(r"\.0+$", "")
    return column.cast("string")


def _is_plain(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):
        return _is_plain(dtype.value_type)
    return not (pa.types.is_nested(dtype) or pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype))
