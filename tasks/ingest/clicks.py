"""Where the cleaned clicks of a day lie: in its own load, late ones in loads after it, early ones in the one before."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

from tasks.errors import NotReady
from tasks.ingest.folder_day import folders_with
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Artefact, Storage, hash_of

OWN, LISTS = "clicks", "lists"


@dataclass(frozen=True)
class Piece:
    """Some clicks of one day: a folder of Parquet files in one load."""

    load: Artefact
    folder: str

    @property
    def name(self) -> str:
        """Where it lies in the storage."""
        return f"{self.load.path}/{self.folder}"

    @property
    def hash(self) -> str:
        """SHA-256 of its files alone."""
        return hash_of({name: hash_ for name, hash_ in self.load.files.items() if name.startswith(f"{self.folder}/")})


def click_folder(day: date, load_day: date) -> str:
    """The folder in a load for the clicks of `day`: the load's own, or one of those that came late or early with it."""
    return OWN if day == load_day else f"{'late' if day < load_day else 'early'}/date={day}"


def list_folder(day: date) -> str:
    """The folder in a load for the events of lists that were shown on `day`."""
    return f"{LISTS}/date={day}"


def day_of_folder(folder: str, load_day: date) -> date:
    """The day whose clicks, or events of shown lists, a folder of a load holds."""
    return load_day if folder == OWN else date.fromisoformat(folder.rpartition("/date=")[2])


def folders_of(load: Artefact) -> list[str]:
    """The folders with clicks in a load, its own day's first."""
    folders = {name.rpartition("/")[0] for name in load.files if "/" in name}
    return sorted(folders, key=lambda folder: (folder != OWN, folder))


def pieces_of(day: date, storage: Storage, settings: Settings) -> list[Piece]:
    """The day's own clicks, where it is loaded, then those that came early or late with other days."""
    return _pieces({load_day: click_folder(day, load_day) for load_day in folders_with(day, settings)}, storage)


def list_pieces_of(day: date, storage: Storage, settings: Settings) -> list[Piece]:
    """The day's events of shown lists, those that came early or late after its own."""
    return _pieces(dict.fromkeys(folders_with(day, settings), list_folder(day)), storage)


def _pieces(folder_of: Mapping[date, str], storage: Storage) -> list[Piece]:
    """The folders that are there, each in the load of its day."""
    loaded = [load_day for load_day in folder_of if storage.complete(Night.clicks(load_day))]
    pieces = [Piece(storage.read(Night.clicks(load_day)), folder_of[load_day]) for load_day in loaded]
    return [piece for piece in pieces if any(name.startswith(f"{piece.folder}/") for name in piece.load.files)]


def counted_pieces(aggregate: Artefact, storage: Storage) -> list[Piece]:
    """The pieces that a day's aggregate was made of; raises NotReady where one is gone or has changed since."""
    pieces = []
    for name, counted in aggregate.sources.items():
        parts = PurePosixPath(name).parts
        if parts[0] != "clicks" or parts[2] == LISTS:  # how they were paired, and what counts for no pair
            continue
        piece = Piece(storage.read("/".join(parts[:2])), "/".join(parts[2:]))
        if piece.hash != counted:
            raise NotReady(
                f"{name} must be as {aggregate.path} counted it, {counted[:12]}, but is now {piece.hash[:12]}: "
                f"run aggregate_clicks --night {aggregate.path.rpartition('=')[2]}, then this step again"
            )
        pieces.append(piece)
    return pieces


@contextmanager
def opened(pieces: Sequence[Piece], storage: Storage) -> Iterator[list[Path]]:
    """Local paths of the pieces' files."""
    with ExitStack() as copies:
        folders = [Path(copies.enter_context(storage.open(piece.load)), piece.folder) for piece in pieces]
        yield [file for folder in folders for file in sorted(folder.glob("*.parquet"))]
