"""What kind a delivered file is of, CSV, JSON or Parquet and how it is packed: by its name, else by how it begins."""

import codecs
import gzip
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from tasks.errors import BadInput

PARQUET, CSV, LINES, JSON = "parquet", "csv", "jsonl", "json"
FORM_OF = {".parquet": PARQUET, ".csv": CSV, ".tsv": CSV, ".jsonl": LINES, ".ndjson": LINES, ".json": JSON}
PACKING_OF = {".gz": "gz", ".zst": "zst"}
SUFFIXES = [
    f"{form}{packing}" for form in FORM_OF for packing in ("", *PACKING_OF) if not (packing and form == ".parquet")
]
MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}
PARQUET_MAGIC = b"PAR1"
NO_ROWS = {  # formats by how they begin in which no rows are read
    b"PK\x03\x04": "a spreadsheet or a zip archive: save it as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of an older kind: save it as CSV",
    b"Obj\x01": "Avro: export it as Parquet or JSON lines",
    b"ORC": "ORC: export it as Parquet",
    b"BZh": "packed by bzip2: pack it by gzip or zstd",
    b"\xfd7zXZ": "packed by xz: pack it by gzip or zstd",
    b"\x1f\x9d": "packed by compress: pack it by gzip or zstd",
}
# The longest first, as UTF-32 begins like UTF-16.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
BEGINNING = 4096
NO_TEXT = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))  # characters that text does not hold


class Kind(NamedTuple):
    """The form of a file's content, and how it is packed: gz, zst or not at all."""

    form: str
    packing: str = ""

    @property
    def suffix(self) -> str:
        """As a name would end."""
        return f".{self.form}" + (f".{self.packing}" if self.packing else "")


def kind_by_name(name: str) -> Kind | None:
    """What a name says; None where it says nothing."""
    suffixes = PurePosixPath(name.lower()).suffixes
    packing = PACKING_OF.get(suffixes[-1], "") if suffixes else ""
    rest = suffixes[:-1] if packing else suffixes
    form = FORM_OF.get(rest[-1]) if rest else None
    return Kind(form, packing) if form and not (packing and form == PARQUET) else None


def kind_of(file: Path, name: str) -> Kind:
    """The kind of a file that was delivered under a name; raises BadInput for one that is none of those accepted.

    A name that says nothing, as those of part files often do, leaves it to the content.
    """
    if kind := kind_by_name(name):
        return kind
    with file.open("rb") as content:
        beginning = content.read(BEGINNING)
    packing = packing_of(beginning)
    if beginning.startswith(PARQUET_MAGIC):
        return Kind(PARQUET)
    text = _unpacked(file, packing) if packing else beginning
    is_wide = (encoding_by_mark(text) or "").startswith(("utf-16", "utf-32"))
    if not (is_wide or _is_text(text)):
        what = no_rows_in(text) or "no text: rename, convert or remove it"
        raise BadInput(f"{name} has no known suffix: accepted are {', '.join(SUFFIXES)}, and this is {what}")
    first = text.removeprefix(codecs.BOM_UTF8).replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")[:1]
    return Kind(JSON if first in (b"{", b"[") else CSV, packing)


def packing_of(beginning: bytes) -> str:
    """How a file is packed that begins so; nothing where it is not."""
    return next((packing for magic, packing in MAGIC.items() if beginning.startswith(magic)), "")


def no_rows_in(beginning: bytes) -> str:
    """What a file is that begins so and in which no rows are read, and what to do; nothing for any other."""
    found = next((what for magic, what in NO_ROWS.items() if beginning.startswith(magic)), "")
    return "" if _is_text(beginning) else found  # as a header ORCHID,TITLE is


def _is_text(beginning: bytes) -> bool:
    return beginning.translate(None, NO_TEXT) == beginning


def encoding_by_mark(beginning: bytes) -> str | None:
    """The encoding that a byte order mark says; None where there is none."""
    return next((name for mark, name in MARKS.items() if beginning.startswith(mark)), None)


def open_unpacked(file: Path, packing: str) -> BinaryIO:
    """The content of a file that is packed so."""
    if packing == "gz":
        return gzip.open(file)  # type: ignore[return-value]
    if packing == "zst":
        return pa.input_stream(str(file), compression="zstd")  # type: ignore[no-any-return]
    return file.open("rb")


def _unpacked(file: Path, packing: str) -> bytes:
    """How a packed file begins; nothing where it cannot be unpacked, which is told when it is read."""
    try:
        with open_unpacked(file, packing) as content:
            return content.read(BEGINNING)
    except (OSError, EOFError, zlib.error):
        return b""
