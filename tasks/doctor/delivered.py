"""What lies at a path: files, folders of days, and as much of them as is looked at."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from tasks.errors import BadInput
from tasks.ingest.input_files import is_left_out
from tasks.ingest.kinds import PARQUET_MAGIC, open_unpacked, packing_of

PACKED = 6  # how many times larger compressed text is once unpacked, more or less
DATED = re.compile(r"^date=(\d{4}-\d{2}-\d{2})$")
OTHER_DAYS = re.compile(
    r"(?:dt|day|ds|datum|event_date)=(\d{4}-\d{2}-\d{2})|(\d{4})/(\d{2})/(\d{2})/|(20\d{2})(\d{2})(\d{2})"
)


class File(NamedTuple):
    """One delivered file, and the day of the folder date=D that it lies in."""

    path: Path
    day: date | None

    @property
    def size(self) -> int:
        """Bytes it is about to have once it is read."""
        suffix = self.path.suffix
        return self.path.stat().st_size * (PACKED if suffix in (".gz", ".zst", ".parquet") else 1)


@dataclass(frozen=True)
class Delivered:
    """The files of a log or a catalogue.

    ignored: files that writers leave beside them, whose names begin with _ or a dot; other_days: a folder or name that
    says a day in another way than date=D.
    """

    root: Path
    files: Sequence[File]
    ignored: Sequence[str]
    other_days: str = ""

    @property
    def is_dated(self) -> bool:
        """Whether it has the folders that nights read."""
        return any(file.day for file in self.files)

    @property
    def days(self) -> list[date]:
        """The days of its folders, oldest first."""
        return sorted({file.day for file in self.files if file.day})

    @property
    def bytes(self) -> int:
        """On disk."""
        return sum(file.path.stat().st_size for file in self.files)


def delivered(path: Path) -> Delivered:
    """The files at a path; raises BadInput where there is none."""
    if not path.exists():
        raise BadInput(f"{path} must be a file or a folder, but is not there: write where the export lies")
    if path.is_file():
        return Delivered(path.parent, [File(path, None)], [])
    found: list[File] = []
    ignored: list[str] = []
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.is_file():
            if any(map(is_left_out, parts)):
                ignored.append("/".join(parts))
            else:
                found.append(File(file, _day_of(parts)))
    if not found:
        raise BadInput(f"{path} must hold files, but has none{_shown(ignored)}: write where the export lies")
    dated = [file for file in found if file.day]
    if dated:
        ignored += [str(file.path.relative_to(path)) for file in found if not file.day]
    others = [OTHER_DAYS.search(str(file.path.relative_to(path))) for file in found if not dated]
    first = next((match[0] for match in others if match), "")
    return Delivered(path, dated or found, ignored, first)


def _day_of(parts: Sequence[str]) -> date | None:
    match = DATED.match(parts[0]) if len(parts) > 1 else None
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def _shown(ignored: Sequence[str]) -> str:
    return f" but {', '.join(ignored[:3])}" if ignored else ""


@dataclass(frozen=True)
class Sample:
    """As much of a delivery as is looked at; `whole` where that is all of it."""

    files: Sequence[File]
    whole: bool
    said: str


def sample(of: Delivered, most_bytes: int, most_days: int, scratch: Path) -> Sample:
    """The newest days, or the last files, of about so many bytes in all; a file that alone is larger is cut.

    Cut files lie in `scratch`.
    """
    newest = [[file] for file in of.files] if not of.is_dated else [[*files] for _, files in groupby(of.files, _day)]
    chosen, size = list[File](), 0
    for files in reversed(newest[-most_days:] if of.is_dated else newest):
        more = _bytes(files)
        if chosen and size + more > most_bytes:
            break
        chosen, size = [*files, *chosen], size + more
    if size > most_bytes:  # a day, or a file, that is larger by itself
        sizes = accumulate(_bytes([file]) for file in chosen)
        fitting = [file for file, so_far in zip(chosen, sizes, strict=True) if so_far <= most_bytes]
        chosen = fitting or [File(cut(chosen[0].path, most_bytes, scratch), chosen[0].day)]
    kept = {file.day for file in chosen}
    whole = [file.path for file in chosen] == [file.path for file in of.files]
    said = "" if whole else f"a sample: {len(chosen):,} of {len(of.files):,} files"
    if not whole and of.is_dated:
        said += f", of the newest {len(kept)} of {len(of.days)} days"
    elif not whole and len(of.files) == 1:
        said = f"a sample: the first {most_bytes / 2**20:,.0f} MiB of {of.bytes / 2**20:,.0f}"
    return Sample(chosen, whole, said)


def _day(file: File) -> date | None:
    return file.day


def _bytes(files: Sequence[File]) -> int:
    return sum(file.size for file in files)


def cut(file: Path, most_bytes: int, scratch: Path) -> Path:
    """The beginning of a file as a file of its own: whole lines, or whole row groups; an array of JSON stays whole."""
    with file.open("rb") as opened:
        magic = opened.read(8)
    if magic.startswith(PARQUET_MAGIC):
        return _cut_parquet(file, most_bytes // PACKED, scratch / file.name)
    with open_unpacked(file, packing_of(magic)) as content:
        first = content.read(1 << 16)
        if first.lstrip()[:1] == b"[":
            return file
        target = scratch / re.sub(r"\.(gz|zst)$", "", file.name)
        with target.open("wb") as written:
            size, chunk = 0, first
            while chunk and size < most_bytes:
                size += written.write(chunk)
                chunk = content.read(1 << 20)
            end = _last_line_end(target, size)
            written.truncate(end)
    return target


def _last_line_end(file: Path, size: int) -> int:
    with file.open("rb") as content:
        start = max(size - (1 << 21), 0)
        content.seek(start)
        return start + content.read().rfind(b"\n") + 1


def _cut_parquet(file: Path, most_bytes: int, target: Path) -> Path:
    opened, size = pq.ParquetFile(file), 0
    with pq.ParquetWriter(target, opened.schema_arrow) as writer:
        for batch in opened.iter_batches(batch_size=1 << 16):
            writer.write_batch(batch)
            size += batch.nbytes
            if size > most_bytes * PACKED:
                break
    return target
