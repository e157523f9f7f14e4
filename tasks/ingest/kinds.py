"""What kind a delivered file is of, CSV, JSON or Parquet and how it is packed: by its name, else by how it begins."""

import codecs
import gzip
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa

from tasks.errors import BadInput

PARQUET, CSV, LINES, JSON = "parquet", "csv", "jsonl", "json"
FORM_OF = {".parquet": PARQUET, ".csv": CSV, ".tsv": CSV, ".jsonl": LINES, ".ndjson": LINES, ".json": JSON}
PACKING_OF = {".gz": "gz", ".zst": "zst"}
SUFFIXES = [
    f"{form}{packing}" for form in FORM_OF for packing in ("", *PACKING_OF) if not (packing and form == ".parquet")
]
MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}
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
    packing = next((packing for magic, packing in MAGIC.items() if beginning.startswith(magic)), "")
    if beginning.startswith(b"PAR1"):
        return Kind(PARQUET)
    text = _unpacked(file, packing) if packing else beginning
    is_wide = text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # of UTF-32, too
    if text.startswith(b"PK") or (not is_wide and text.translate(None, NO_TEXT) != text):
        raise BadInput(
            f"{name} has no known suffix: accepted are {', '.join(SUFFIXES)}, and this is "
            "no text: rename, convert or remove it"
        )
    first = text.removeprefix(codecs.BOM_UTF8).replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")[:1]
    return Kind(JSON if first in (b"{", b"[") else CSV, packing)


def _unpacked(file: Path, packing: str) -> bytes:
    """How a packed file begins; nothing where it cannot be unpacked, which is told when it is read."""
    try:
        if packing == "gz":
            with gzip.open(file) as content:
                return content.read(BEGINNING)
        with pa.input_stream(str(file), compression="zstd") as content:
            return content.read(BEGINNING)  # type: ignore[no-any-return]
    except (OSError, EOFError, zlib.error):
        return b""
