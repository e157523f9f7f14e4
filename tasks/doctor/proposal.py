"""The LOG_FORMAT and CATALOGUE_FORMAT that a delivery seems to need: of a preset that fits, or of guesses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.doctor.mapping import Guess, guess_event_types
from tasks.doctor.peek import Column, Peek
from tasks.doctor.times import TimeShape, time_shape
from tasks.ingest.catalogue_format import CatalogueFormat
from tasks.ingest.log_format import ALL_OTHERS, EVENT_TYPES, LIST_EVENTS, LogFormat
from tasks.ingest.presets import Of, presets

NEEDED = {"log": ("event_time", "product_id"), "catalogue": ("product_id", "title")}
EXAMPLES = 3
OURS = (*EVENT_TYPES, *LIST_EVENTS)
Sources = Mapping[str, str | list[str]]


@dataclass
class Proposal:
    """A format as a dictionary, the preset it names, our columns with the file's, and what could not be told.

    columns: of a preset those that the file has; of none, the guesses. setting: LOG_FORMAT or CATALOGUE_FORMAT, where
    it is set already and is looked at in the place of a proposal.
    """

    format: dict[str, Any] = field(default_factory=dict)
    preset: str = ""
    columns: list[Guess] = field(default_factory=list)
    time: TimeShape | None = None
    types: dict[str, str | None] = field(default_factory=dict)
    lacks: list[str] = field(default_factory=list)
    setting: str = ""


def propose_log(found: Peek, guesses: Sequence[Guess]) -> Proposal:
    """What LOG_FORMAT should say of files like this one."""
    name = preset_of(found, "log")
    proposal = Proposal(_file_format(found), name)
    if name:
        named = presets()[name]["log"]
        if "header" in named:
            _name_columns(found, named["header"])
        proposal.columns = _of_preset(found, named["columns"], name)
        proposal.format = {"preset": name} | {k: v for k, v in proposal.format.items() if k not in ("header", *named)}
    else:
        proposal.columns = [*guesses]
        proposal.format |= _columns(guesses) | _items(found, guesses)
    theirs = {guess.ours: guess.theirs for guess in proposal.columns}
    if "event_time" in theirs:
        proposal.time = time_shape(found.columns[theirs["event_time"]].values)
        proposal.format |= _time_format(proposal.time, LogFormat.model_validate(proposal.format).time_unit)
    if "event_type" in theirs:
        proposal.types = guess_event_types(found.columns[theirs["event_type"]])
        proposal.format |= _event_types(proposal, LogFormat.model_validate(proposal.format).event_types)
    has_group = "session_id" in theirs or "user_id" in theirs
    proposal.lacks = [column for column in NEEDED["log"] if column not in theirs]
    proposal.lacks += [] if has_group else ["session_id or user_id"]
    return proposal


def given(found: Peek, file_format: LogFormat | CatalogueFormat) -> Proposal:
    """The format that is set, as a proposal; columns: those that it names, and ours, as far as the file has them."""
    if file_format.header and len(file_format.header) == len(found.columns):
        _name_columns(found, file_format.header)
    columns = {ours: list(sources) for ours, sources in file_format.sources.items()}
    proposal = Proposal(file_format.model_dump(exclude_defaults=True), file_format.preset or "")
    proposal.setting = file_format.setting
    proposal.columns = _of(found, columns, f"{file_format.setting} says so")
    theirs = {guess.ours: guess.theirs for guess in proposal.columns}
    of: Of = "log" if isinstance(file_format, LogFormat) else "catalogue"
    proposal.lacks = [column for column in NEEDED[of] if column not in theirs]
    if "event_time" in theirs:
        proposal.time = time_shape(found.columns[theirs["event_time"]].values)
    if "event_type" in theirs and isinstance(file_format, LogFormat):
        seen = dict.fromkeys(found.columns[theirs["event_type"]].texts)
        proposal.types = {kind: file_format.event_types.get(kind, kind if kind in OURS else None) for kind in seen}
    return proposal


def propose_catalogue(found: Peek, guesses: Sequence[Guess]) -> Proposal:
    """What CATALOGUE_FORMAT should say of a file like this one."""
    name = preset_of(found, "catalogue")
    proposal = Proposal(_file_format(found), name)
    if name:
        proposal.columns = _of_preset(found, presets()[name]["catalogue"]["columns"], name)
        proposal.format = {"preset": name} | proposal.format
    else:
        proposal.columns = [*guesses]
        proposal.format |= _columns(guesses) | _items(found, guesses)
    theirs = {guess.ours for guess in proposal.columns}
    proposal.lacks = [column for column in NEEDED["catalogue"] if column not in theirs]
    return proposal


def preset_of(found: Peek, of: Of) -> str:
    """The preset of which the file has most of the columns, all that it needs among them; nothing where none fits.

    A file whose columns are called as ours needs no preset, and a file without a header fits one of as many columns.
    """
    fitting: list[tuple[int, int, str]] = []
    for place, (name, preset) in enumerate(presets().items()):
        named = preset.get(of)
        if not named or not _needs(named["columns"], NEEDED[of]):
            continue
        if "header" in named:
            if _fits_header(found, named):
                fitting.append((len(named["header"]), -place, name))
            continue
        theirs = {ours: _first(found, source) for ours, source in named["columns"].items()}
        needed = [theirs.get(ours) for ours in NEEDED[of]]
        grouped = of == "catalogue" or theirs.get("session_id") or theirs.get("user_id")
        is_ours = all(source == ours for ours, source in theirs.items() if source)
        if all(needed) and grouped and not is_ours and found.has_header:
            fitting.append((sum(map(bool, theirs.values())), -place, name))
    return max(fitting)[2] if fitting else ""


def _needs(columns: Sources, needed: Sequence[str]) -> bool:
    return all(ours in columns for ours in needed)


def _first(found: Peek, source: str | list[str]) -> str:
    """The first of the names that the file has."""
    names = [source] if isinstance(source, str) else source
    return next((name for name in names if name in found.columns), "")


def _fits_header(found: Peek, named: Mapping[str, Any]) -> bool:
    """As many columns, and times where the preset has them."""
    header: list[str] = named["header"]
    if found.kind != "csv" or found.has_header or len(found.columns) != len(header):
        return False
    values = dict(zip(header, found.columns.values(), strict=True))
    sources = named["columns"]["event_time"]
    times = [values[name] for name in ([sources] if isinstance(sources, str) else sources)]
    return any(time_shape(column.values) for column in times if column.values)


def _name_columns(found: Peek, header: Sequence[str]) -> None:
    found.columns = dict(zip(header, found.columns.values(), strict=True))


def _of_preset(found: Peek, columns: Sources, name: str) -> list[Guess]:
    return _of(found, columns, f"the preset {name} says so")


def _of(found: Peek, columns: Sources, why: str) -> list[Guess]:
    theirs = {ours: _first(found, source) for ours, source in columns.items()}
    return [Guess(ours, path, "sure", why) for ours, path in theirs.items() if path]


def _file_format(found: Peek) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if found.kind != "parquet" and found.encoding != "utf-8":
        told["encoding"] = found.encoding
    if found.kind == "csv" and found.delimiter != ",":
        told["delimiter"] = found.delimiter
    if found.kind == "csv" and not found.has_header:
        told["header"] = list(found.columns)
    return told


def _columns(guesses: Sequence[Guess]) -> dict[str, Any]:
    columns = {guess.ours: guess.theirs for guess in guesses if guess.ours != guess.theirs}
    return {"columns": columns} if columns else {}


def _items(found: Peek, guesses: Sequence[Guess]) -> dict[str, Any]:
    path = next((guess.theirs for guess in guesses if guess.ours == "product_id"), "")
    lists = [items for items in found.lists if path == items or path.startswith(f"{items}.")]
    return {"items": max(lists, key=len)} if lists else {}


def _time_format(shape: TimeShape | None, unit: str | None) -> dict[str, Any]:
    if shape and shape.kind == "number" and shape.unit != unit:
        return {"time_unit": shape.unit}
    if shape and shape.kind == "format":
        return {"time_format": shape.time_format}
    return {}


def _event_types(proposal: Proposal, known: Mapping[str, str | None]) -> dict[str, Any]:
    """Types that are called otherwise than ours; where only some are of interest, the others by "*"."""
    left = {value: kind for value, kind in proposal.types.items() if value not in known and value not in OURS}
    proposal.types = {value: known.get(value, kind) for value, kind in proposal.types.items()}
    told: dict[str, str | None] = {value: kind for value, kind in left.items() if kind}
    if any(kind is None for kind in left.values()) and ALL_OTHERS not in known:
        told[ALL_OTHERS] = None
    if not told or (ALL_OTHERS in known and proposal.preset and not any(told.values())):
        return {}
    return {"event_types": told}


def examples_of(column: Column) -> list[str]:
    """Some different values of a column, shortened."""
    return [text[:40] for text in dict.fromkeys(text.strip() for text in column.texts)][:EXAMPLES]
