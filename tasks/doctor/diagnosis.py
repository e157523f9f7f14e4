"""Look at a shop's log and catalogue: what they are, what a night would make of them, what is odd, what to do next."""

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from tasks.doctor.delivered import Delivered, File, Sample, delivered, sample
from tasks.doctor.facts import Facts, facts_of
from tasks.doctor.forecast import Forecast, forecast
from tasks.doctor.mapping import guess_catalogue, guess_log
from tasks.doctor.peek import Column, Peek, peek
from tasks.doctor.proposal import Proposal, given, propose_catalogue, propose_log
from tasks.doctor.titles import Writing, writing_of
from tasks.doctor.trial import Trial, clicks_of, try_days, try_export
from tasks.errors import BadInput, TaskError
from tasks.ingest.by_day import lend
from tasks.ingest.catalogue import Catalogue, delivery_of, read_catalogue, today
from tasks.ingest.catalogue_format import CatalogueFormat
from tasks.ingest.catalogue_of_log import catalogue_of_log
from tasks.ingest.engine import duckdb_engine
from tasks.ingest.log_format import LogFormat
from tasks.night import OLDEST
from tasks.settings import Settings

PEEKED_FILES = 5


@dataclass
class Source:
    """A log or a catalogue: what lies there, the beginning of its files together, and the format proposed.

    different: files whose columns are others than the first one's.
    """

    delivered: Delivered
    sample: Sample
    peek: Peek
    proposal: Proposal
    different: Sequence[str] = ()


@dataclass
class Diagnosis:
    """All that was found out. refusals: why the log or the catalogue would not be read, in the ingest's words."""

    settings: Settings
    log: Source
    catalogue: Source | None = None
    trial: Trial = field(default_factory=Trial)
    facts: Facts | None = None
    products: Catalogue | None = None
    writing: Writing | None = None
    forecast: Forecast | None = None
    refusals: dict[str, str] = field(default_factory=dict)

    @property
    def titles_from_log(self) -> bool:
        """Whether the log's own titles stand for a catalogue that was not named."""
        return self.catalogue is not None and self.catalogue.delivered is self.log.delivered

    @property
    def days(self) -> list[date]:
        """Days that a night could be of: with clicks, and, of a log in folders, with a folder."""
        if not self.facts:
            return []
        folders = self.trial.days if self.log.delivered.is_dated else self.facts.by_day
        return [day for day in self.facts.by_day if day in folders and day not in self.facts.strange_days]

    @property
    def night(self) -> date | None:
        """The last day that seems to be whole: of a log that breaks off, the one before its last."""
        days = self.days
        if len(days) > 1 and self.last_day_is_half:
            return days[-2]
        return days[-1] if days else None

    @property
    def last_day_is_half(self) -> bool:
        """Whether the last day has less than a third of the clicks that the days before it have at the median."""
        counts = [self.facts.by_day[day] for day in self.days] if self.facts else []
        before = sorted(counts[:-1])
        return len(before) >= 3 and counts[-1] < before[len(before) // 2] / 3


def diagnose(log: Path, catalogue: Path | None, settings: Settings, most_mib: int, most_days: int) -> Diagnosis:
    """Look at a log, and a catalogue beside it, without writing anything; needs no database.

    most_mib, most_days: how much of a large log is looked at, its newest days. Raises BadInput, naming the file, for a
    log without files and for files that hold neither text nor Parquet, and what `delivery_of` raises.
    """
    settings = settings.model_copy(update={"catalogue_url": str(catalogue)}) if catalogue else settings
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "log").mkdir()
        there = delivered(log)
        found = _look(there, sample(there, most_mib << 20, most_days, folder / "log"))
        listed = _look_at_catalogue(settings) if catalogue else None
        _propose(found, listed, settings)
        diagnosis = Diagnosis(settings, found, listed)
        if not listed:
            diagnosis.catalogue = _titles_of(found, settings)
        _try(diagnosis, folder)
        _read_catalogue(diagnosis, folder)
        _count(diagnosis, folder)
        return diagnosis


def _look_at_catalogue(settings: Settings) -> Source:
    """The whole newest delivery, whose ids are compared with those of the log."""
    newest = delivery_of(today(), settings)
    files = [File(Path(file), newest.delivered) for file in newest.files]
    return _look(Delivered(Path(newest.root), files, []), Sample(files, whole=True, said=""))


def _look(there: Delivered, looked_at: Sample) -> Source:
    files = [file.path for file in looked_at.files]
    spread = files[:: -(-len(files) // PEEKED_FILES)]
    peeks = _peeks(tqdm(spread, desc="looking", unit="file", disable=None))
    first = next(iter(peeks.values()))
    different = [file.name for file, other in peeks.items() if set(other.columns) != set(first.columns)]
    for other in list(peeks.values())[1:]:
        _join(first, other)
    return Source(there, looked_at, first, Proposal(), different)


def _peeks(files: Iterable[Path]) -> dict[Path, Peek]:
    """What those files look like that hold rows, one of them at least; of the others the ingest tells."""
    found, refusals = dict[Path, Peek](), list[BadInput]()
    for file in files:
        try:
            found[file] = peek(file)
        except BadInput as refusal:
            refusals.append(BadInput(f"{file} {refusal}"))
    if not found:
        raise refusals[0]
    return found


def _join(found: Peek, other: Peek) -> None:
    """Put the values of another file's columns behind those of the first; a column that a file lacks is blank there."""
    for path in {**found.columns, **other.columns}:
        mine, theirs = found.columns.setdefault(path, Column(blank=found.rows)), other.columns.get(path)
        mine.values += theirs.values if theirs else []
        mine.blank += theirs.blank if theirs else other.rows
    for path, items in other.lists.items():
        found.lists.setdefault(path, []).extend(items)
    found.rows += other.rows


def _propose(log: Source, catalogue: Source | None, settings: Settings) -> None:
    """Formats that are set are looked at; else each file's product ids tell which column of the other has them."""
    is_set = settings.log_format is not None
    if is_set:
        log.proposal = given(log.peek, LogFormat.read(settings.log_format))
    else:
        log.proposal = propose_log(log.peek, guess_log(log.peek))
    if not catalogue:
        return
    catalogue.proposal = _as_catalogue(catalogue.peek, log, settings)
    if not log.proposal.preset and not is_set:
        log.proposal = propose_log(log.peek, guess_log(log.peek, _ids(catalogue)))


def _as_catalogue(peek: Peek, log: Source, settings: Settings) -> Proposal:
    """CATALOGUE_FORMAT where it is set, else what the column that has the ids of the log suggests."""
    if settings.catalogue_format:
        return given(peek, CatalogueFormat.read(settings.catalogue_format))
    return propose_catalogue(peek, guess_catalogue(peek, _ids(log)))


def _ids(source: Source) -> set[str]:
    path = next((guess.theirs for guess in source.proposal.columns if guess.ours == "product_id"), "")
    return set(source.peek.columns[path].texts) if path else set()


def _titles_of(log: Source, settings: Settings) -> Source | None:
    """The log as a catalogue: order lines and events often say what their products are called."""
    proposal = _as_catalogue(log.peek, log, settings)
    return None if proposal.lacks else Source(log.delivered, log.sample, log.peek, proposal)


def _read_catalogue(diagnosis: Diagnosis, scratch: Path) -> None:
    """As `ingest_catalogue` reads it for the last day of the log."""
    source, settings = diagnosis.catalogue, diagnosis.settings
    if not source or source.proposal.lacks:
        return
    try:
        if diagnosis.titles_from_log:
            ours = {"catalogue_url": str(_titles(source, scratch, settings)), "catalogue_format": None}
            settings = settings.model_copy(update=ours)
        else:
            written = scratch / "catalogue_format.json"
            written.write_text(json.dumps(source.proposal.format))
            settings = settings.model_copy(update={"catalogue_format": written})
        day = max((day for day in diagnosis.trial.days if OLDEST <= day <= today()), default=today())
        diagnosis.products = read_catalogue(delivery_of(day, settings), settings)
    except TaskError as refusal:
        diagnosis.refusals["catalogue"] = str(refusal).replace(f"{scratch}/", "")
        return
    diagnosis.writing = writing_of(diagnosis.products.products["title"].to_pylist())


def _titles(source: Source, scratch: Path, settings: Settings) -> Path:
    """A catalogue of what the log says of its products, as `split_by_day` writes it."""
    files = [file.path for file in source.sample.files]
    found = catalogue_of_log(files, CatalogueFormat.model_validate(source.proposal.format), settings)
    pq.write_table(found, scratch / "catalogue.parquet")
    return scratch / "catalogue.parquet"


def _try(diagnosis: Diagnosis, scratch: Path) -> None:
    source, settings = diagnosis.log, diagnosis.settings
    if source.proposal.lacks:
        return
    log_format = LogFormat.model_validate(source.proposal.format)
    try:
        diagnosis.trial = _trial(source, log_format, settings, scratch)
    except TaskError as refusal:
        diagnosis.refusals["log"] = str(refusal)


def _count(diagnosis: Diagnosis, scratch: Path) -> None:
    settings = diagnosis.settings
    with duckdb_engine(settings.memory_limit_gib) as engine:
        clicks = clicks_of(engine, diagnosis.trial)
        if clicks is None:
            return
        products = diagnosis.products.products if diagnosis.products else None
        diagnosis.facts = facts_of(clicks, _column(products, "product_id"), settings.max_session_products)
        if night := diagnosis.night:
            diagnosis.forecast = forecast(clicks, products, night, settings, scratch)


def _column(table: pa.Table | None, name: str) -> pa.ChunkedArray | None:
    return None if table is None else table[name]


def _trial(source: Source, log_format: LogFormat, settings: Settings, scratch: Path) -> Trial:
    files = source.sample.files
    if not source.delivered.is_dated:
        return try_export([file.path for file in files], log_format, settings, scratch)
    days = sorted({file.day for file in files if file.day})
    root = source.delivered.root if source.sample.whole else scratch / "dated"
    if not source.sample.whole:
        for day in days:
            lend([file.path for file in files if file.day == day], root / f"date={day}")
    return try_days(days, log_format, settings.model_copy(update={"click_log_url": str(root)}), scratch)
