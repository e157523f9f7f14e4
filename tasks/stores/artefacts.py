"""Complete artefacts or none: written to staging, moved into place, marked complete last, bound to their inputs."""

import dataclasses
import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from uuid import uuid4

from fsspec import AbstractFileSystem

from tasks.errors import BadInput, NotReady
from tasks.night import maker_of
from tasks.settings import code_version
from tasks.stores.filesystems import open_filesystem

MARKER = "COMPLETE.json"
PIECE = 1 << 20  # bytes


@dataclass(frozen=True)
class Artefact:
    """What the completion marker holds: hashes of content and files, what it was made from, the step's counts.

    checks: size and CRC-32 of each file, which readers compare; none where older code made it.
    """

    path: str
    hash: str
    made_from: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    code_version: str = ""
    files: dict[str, str] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)


class Storage:
    """Artefacts below one URL (a local folder, s3://, gs://): one folder an artefact.

    Readers see the old artefact, the new one, or none, never half of one: the marker goes first and comes last.
    """

    def __init__(self, url: str) -> None:
        self.files, self.root = open_filesystem(url)
        self.is_local = "file" in self.files.protocol

    def __repr__(self) -> str:
        return f"Storage({self.root})"

    @contextmanager
    def write(
        self, path: str, *, made_from: Sequence[Artefact] = (), sources: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Path, dict[str, float]]]:
        """Yield a scratch folder to fill and a dict for counts; on leaving, the folder becomes the artefact at `path`.

        Arguments and errors are those of `draft`, for artefacts of which nobody else keeps a record.
        """
        with self.draft(path, made_from=made_from, sources=sources) as draft:
            yield draft.folder, draft.counts
            draft.finish()
            draft.put_in_place()
            draft.mark_complete()

    @contextmanager
    def draft(
        self, path: str, *, made_from: Sequence[Artefact] = (), sources: Mapping[str, str] | None = None
    ) -> Iterator["Draft"]:
        """A draft of the artefact at `path`: to be filled, finished, put in place and marked complete.

        What the database records too is put in place before the record is committed, and marked after: until then it is
        incomplete, so that nobody reads what the database does not know, whoever dies in between.
        `made_from` are artefacts that `read` holds this one to; `sources` are hashes that are only recorded.
        Raises NotReady when the files cannot be written; the artefact that stood there before then still stands.
        """
        target, staging = f"{self.root}/{path}", f"{self.root}/{path}.writing-{uuid4().hex[:8]}"
        folder = self._scratch(target, staging)
        inputs = {artefact.path: artefact.hash for artefact in made_from}
        try:
            yield Draft(self, Artefact(path, "", inputs, dict(sources or {})), staging, folder)
        except OSError as error:
            stands = "what stood there before still stands" if self.complete(path) else "nothing stands there now"
            raise NotReady(
                f"{path} could not be written to {self.root} ({error}); {stands}: "
                "free space or restore access, then run the step again"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if self.files.exists(staging):
                self.files.rm(staging, recursive=True)

    def read(self, path: str) -> Artefact:
        """The complete artefact at `path`.

        Raises NotReady where there is none, BadInput where one of the artefacts it was made from has changed since.
        """
        marker = f"{self.root}/{path}/{MARKER}"
        if not self.files.exists(marker):
            raise NotReady(f"{path} is not in {self.root} or not complete: run {maker_of(path)} first")
        artefact = Artefact(**json.loads(self.files.cat_file(marker)))
        for input_path, expected in artefact.made_from.items():
            seen = self.read(input_path).hash
            if seen != expected:
                raise BadInput(
                    f"{path} was made from {input_path} {expected[:12]}, which is now {seen[:12]}: "
                    f"run {maker_of(path)} again"
                )
        return artefact

    def complete(self, path: str) -> bool:
        """Whether a complete artefact stands at `path`."""
        return bool(self.files.exists(f"{self.root}/{path}/{MARKER}"))

    def days(self, name: str) -> list[date]:
        """The days of which a complete artefact stands at name/date=D, oldest first."""
        days = sorted(dated_folders(self.files, f"{self.root}/{name}"))
        return [day for day in days if self.complete(f"{name}/date={day}")]

    def remove_leftovers(self, path: str) -> None:
        """Take away what a killed writer left of the artefact at `path`."""
        for leftover in self.files.glob(f"{self.root}/{path}.writing-*"):
            self.files.rm(leftover, recursive=True)

    def sweep(self, name: str) -> list[date]:
        """Take away what killed writers left of artefacts at name/date=D; returns the days that they left halves of.

        Nobody may be writing there. Folders with other names stay.
        """
        swept = set()
        for path in self.files.glob(f"{self.root}/{name}/date=*"):
            day, is_staging, _ = PurePosixPath(path).name.removeprefix("date=").partition(".writing-")
            with suppress(ValueError):
                left = date.fromisoformat(day)
                if is_staging or not self.files.exists(f"{path}/{MARKER}"):
                    self.files.rm(path, recursive=True)
                    swept.add(left)
        return sorted(swept)

    def remove(self, path: str) -> None:
        """Take the artefact at `path` away, if there is one."""
        if self.complete(path):
            self.files.rm_file(f"{self.root}/{path}/{MARKER}")
            self.files.rm(f"{self.root}/{path}", recursive=True)

    @contextmanager
    def open(self, artefact: Artefact) -> Iterator[Path]:
        """A local folder with the artefact's files; a copy that goes afterwards where the storage is remote.

        Raises BadInput where they are not those that it was completed with, NotReady where it was replaced meanwhile.
        """
        if self.is_local:
            self._check(artefact, Path(self.root, artefact.path))
            yield Path(self.root, artefact.path)
            return
        with tempfile.TemporaryDirectory() as folder:
            self.files.get(f"{self.root}/{artefact.path}/", folder, recursive=True)
            self._check(artefact, Path(folder))
            yield Path(folder)

    def check_unchanged(self, artefact: Artefact) -> None:
        """Raise NotReady where another artefact than the one that was read stands at its path."""
        seen = self.read(artefact.path).hash
        if seen != artefact.hash:
            raise NotReady(
                f"{artefact.path} must stay {artefact.hash[:12]} while it is read, but became {seen[:12]}: "
                "run the step again once the one that makes it has ended"
            )

    def _check(self, artefact: Artefact, folder: Path) -> None:
        changed = _changed(artefact, folder)
        if changed:
            self.check_unchanged(artefact)
            raise BadInput(
                f"{artefact.path} must hold the files that it was completed with, but {changed} was changed, added or "
                f"taken away since: run {maker_of(artefact.path)} again"
            )

    def _scratch(self, target: str, staging: str) -> Path:
        """A folder to fill, after removing what a killed writer left; one still alive fails and is retried."""
        try:
            self.remove_leftovers(target.removeprefix(f"{self.root}/"))
            if not self.is_local:
                return Path(tempfile.mkdtemp())
            Path(staging).mkdir(parents=True)
        except OSError as error:
            raise NotReady(f"{staging} could not be made ({error}): restore access, then run the step again") from error
        return Path(staging)

    def replace(self, artefact: Artefact, staging: str) -> None:
        """Let what a finished draft staged stand in the artefact's place; what takes space is there already."""
        target = f"{self.root}/{artefact.path}"
        if self.files.exists(target):
            self.remove(artefact.path)
        if self.files.exists(target):
            self.files.rm(target, recursive=True)
        if self.is_local:
            self.files.mv(staging, target, recursive=True)
        else:  # s3fs would list folders, which an object store does not have
            for file in self.files.find(staging):
                self.files.mv(file, f"{target}{file.removeprefix(staging)}")

    def mark(self, artefact: Artefact) -> None:
        """Say that the artefact, which is in place, is complete."""
        marker = f"{self.root}/{artefact.path}/{MARKER}"
        self.files.mv(f"{marker}.part", marker)


class Draft:
    """An artefact that does not stand yet: a folder to fill, and the step's counts."""

    def __init__(self, storage: Storage, artefact: Artefact, staging: str, folder: Path) -> None:
        self.folder, self.counts = folder, artefact.counts
        self._storage, self._artefact, self._staging = storage, artefact, staging

    def __repr__(self) -> str:
        return f"Draft({self._artefact.path})"

    def finish(self) -> Artefact:
        """Bring all that takes time and space to the storage, where nothing is replaced yet; returns the artefact."""
        files, checks = sums_of(self.folder)
        self._artefact = dataclasses.replace(
            self._artefact, hash=hash_of(files), code_version=code_version(), files=files, checks=checks
        )
        if not self._storage.is_local:
            self._storage.files.put(f"{self.folder}/", self._staging, recursive=True)
        marker = json.dumps(asdict(self._artefact), indent=1).encode()
        self._storage.files.pipe_file(f"{self._staging}/{MARKER}.part", marker)
        return self._artefact

    def put_in_place(self) -> None:
        """Replace what stands there; once the artefact is recorded, so that whoever refuses the record stops this."""
        self._storage.replace(self._artefact, self._staging)

    def mark_complete(self) -> None:
        """Let readers have it; once the record is committed."""
        self._storage.mark(self._artefact)


def dated_folders(files: AbstractFileSystem, folder: str) -> dict[date, str]:
    """The folders date=YYYY-MM-DD in a folder, by day; other names are passed over, a missing folder has none."""
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in files.ls(folder, detail=False):
            key, _, day = PurePosixPath(path).name.partition("=")
            with suppress(ValueError):
                if key == "date" and date.fromisoformat(day).isoformat() == day:
                    found[date.fromisoformat(day)] = path
    return found


def _changed(artefact: Artefact, folder: Path) -> str:
    """The name of a file that is not as the artefact was completed with, "" where all are or nobody knows."""
    if not artefact.checks:
        return ""
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} - {MARKER}
    for name in sorted(found | artefact.checks.keys()):
        if name not in found or check_file(folder / name) != artefact.checks.get(name):
            return name
    return ""


def check_file(file: Path) -> str:
    """Size and CRC-32 of a local file: what finds a change by accident in a third of the time of SHA-256."""
    return _sums(file, hashed=False)[1]


def sums_of(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 and what `check_file` says of every file below a folder, each read once; by relative name, in order."""
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    sums = {name: _sums(file) for name, file in files.items()}
    return {name: sha for name, (sha, _) in sums.items()}, {name: check for name, (_, check) in sums.items()}


def _sums(file: Path, *, hashed: bool = True) -> tuple[str, str]:
    sha, crc = hashlib.sha256(), 0
    with file.open("rb") as content:
        while piece := content.read(PIECE):
            crc = zlib.crc32(piece, crc)
            if hashed:
                sha.update(piece)
    return sha.hexdigest(), f"{file.stat().st_size} {crc:08x}"


def hash_of(files: Mapping[str, str]) -> str:
    """SHA-256 over the names and hashes of files."""
    total = hashlib.sha256()
    for name, content in files.items():
        total.update(f"{name}\0{content}\0".encode())
    return total.hexdigest()


def hash_file(file: Path) -> str:
    """SHA-256 of a local file's bytes."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
