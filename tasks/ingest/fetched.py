"""Delivered files at hand: under names of our own, watched while they are read, each made readable for an engine."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fsspec import AbstractFileSystem

from tasks.errors import BadInput, NotReady
from tasks.ingest.conversion import Readable, readable
from tasks.ingest.file_format import FileFormat
from tasks.ingest.input_files import Bounds
from tasks.ingest.kinds import Kind, kind_of
from tasks.stores.artefacts import hash_file


@dataclass(frozen=True)
class FetchedFile:
    """One delivered file: its name below the folder it came in, the state it was found in, and where it lies here."""

    name: str
    path: str
    state: tuple[object, ...]
    local: Path
    kind: Kind

    @property
    def hash(self) -> str:
        """SHA-256 of its bytes."""
        return hash_file(self.local)


def fetch(source: AbstractFileSystem, paths: Sequence[str], folder: str, scratch: Path) -> list[FetchedFile]:
    """Each file under a name of our own, so that no name can be a pattern or lead anywhere.

    Raises BadInput, naming the file, for one that is of no kind that is accepted.
    """
    found: list[FetchedFile] = []
    for path in paths:
        name, state = str(PurePosixPath(path).relative_to(folder)), _state(source, path)
        local = scratch / f"{len(found):05d}.parquet"
        if "file" in source.protocol:
            local.symlink_to(Path(path).resolve())
        else:
            source.get_file(path, str(local))
        found.append(FetchedFile(name, path, state, local, kind_of(local, name)))
    return found


@contextmanager
def watched(source: AbstractFileSystem, files: Sequence[FetchedFile], within: str = "") -> Iterator[None]:
    """Raises NotReady where a file changes while the block reads it, whatever the block made of it.

    within: what stands before the files' names when they are told.
    """
    try:
        yield
    except BadInput:
        _check_unchanged(source, files, within)
        raise
    _check_unchanged(source, files, within)


def _check_unchanged(source: AbstractFileSystem, files: Sequence[FetchedFile], within: str) -> None:
    for file in files:
        if _state(source, file.path) != file.state:
            raise NotReady(
                f"{within}{file.name} must stay as it is while it is read, but it changed: "
                "wait until it is complete, then run this step again"
            )


def _state(source: AbstractFileSystem, path: str) -> tuple[object, ...]:
    if "file" in source.protocol:
        stat = Path(path).stat() if Path(path).exists() else None
        return (stat.st_size, stat.st_mtime_ns, stat.st_ino) if stat else ()
    info = source.info(path)
    return tuple(str(info.get(key)) for key in ("size", "ETag", "etag", "md5Hash", "LastModified", "created"))


def read_each(
    files: Sequence[FetchedFile], file_format: FileFormat, bounds: Bounds, scratch: Path, within: str = ""
) -> list[Readable]:
    """The rows of each file, in `scratch` where it cannot be read as it is; raises what `readable` does, naming it."""
    found, converted = list[Readable](), Path(tempfile.mkdtemp(dir=scratch))
    for file in files:
        try:
            found.append(readable(file.local, file.kind, file_format, converted / file.local.name, bounds))
        except BadInput as refusal:
            raise BadInput(f"{within}{file.name} {refusal}") from refusal
    return found
