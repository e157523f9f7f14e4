"""A diagnosis as sections of tables, sentences and files, which the text and the page show alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from tasks.doctor.diagnosis import Diagnosis, Source
from tasks.doctor.findings import RULES, Finding, counted, findings_of, share
from tasks.doctor.proposal import examples_of
from tasks.ingest.presets import presets

MOST_COLUMNS, MOST_RULES = 40, 12
FIRST_TABLE_DAYS = 28
FILES = {"LOG_FORMAT": "log_format.json", "CATALOGUE_FORMAT": "catalogue_format.json"}


@dataclass
class Section:
    """A part of the report: sentences, then a table; `numbers`: columns of it that are aligned to the right."""

    title: str
    said: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    numbers: Sequence[int] = ()


@dataclass
class Report:
    """What the doctor says: a headline, sections, findings, files by name and commands.

    by_day, by_hour: accepted clicks, for charts.
    """

    headline: str
    sections: Sequence[Section]
    findings: Sequence[Finding]
    files: dict[str, str]
    commands: Sequence[str]
    by_day: dict[str, int] = field(default_factory=dict)
    by_hour: Sequence[int] = ()


def report_of(found: Diagnosis, log: Path, catalogue: Path | None, written: Mapping[str, Path] | None = None) -> Report:
    """The report of a diagnosis; log, catalogue: as they were named, for the commands to type.

    written: where its files are written, by setting; None: they are not.
    """
    findings = findings_of(found)
    sections = [_there(found), _columns("The log's columns", found.log)]
    if found.catalogue and found.titles_from_log:
        sections.append(_columns("The catalogue, from the log's own titles", found.catalogue, others=False))
    elif found.catalogue:
        sections.append(_columns("The catalogue's columns", found.catalogue))
    sections += [_taken(found), _clicks(found), _titles(found), _night(found)]
    facts = found.facts
    return Report(
        _headline(found, findings), [section for section in sections if section.said or section.rows], findings,
        formats(found), commands(found, log, catalogue, written),
        {str(day): count for day, count in facts.by_day.items()} if facts else {}, facts.by_hour if facts else (),
    )  # fmt: skip


def formats(found: Diagnosis) -> dict[str, str]:
    """The files to write, by setting: LOG_FORMAT and CATALOGUE_FORMAT, where anything differs from our own contract."""
    proposals = {"LOG_FORMAT": found.log.proposal}
    if found.catalogue:
        proposals["CATALOGUE_FORMAT"] = found.catalogue.proposal
    said = {name: proposal.format for name, proposal in proposals.items() if not proposal.setting}
    return {name: json.dumps(format_, indent=2, ensure_ascii=False) + "\n" for name, format_ in said.items() if format_}


def _headline(found: Diagnosis, findings: Sequence[Finding]) -> str:
    stops = sum(finding.level == "stops a night" for finding in findings)
    if stops:
        return f"A night would not run yet: {stops} {'thing stops' if stops == 1 else 'things stop'} it."
    trial, told = found.trial, found.forecast
    pages = (
        f"; {share(told.from_clicks + told.from_titles, told.products)} of {told.products:,} pages get a list"
        if told
        else ""
    )
    return f"A night would run: {share(trial.accepted, trial.rows)} of {trial.rows:,} rows are accepted{pages}."


def _there(found: Diagnosis) -> Section:
    rows = [["log", *_described(found.log)]]
    if found.catalogue and not found.titles_from_log:
        rows.append(["catalogue", *_described(found.catalogue)])
    return Section("What is there", _presets(found), ["", "files", "size", "written as", "looked at"], rows, [1, 2])


def _described(source: Source) -> list[str]:
    there = source.delivered
    files = f"{len(there.files):,}" + (f" in {counted(len(there.days), 'day')}" if there.is_dated else "")
    return [files, f"{there.bytes / 2**20:,.1f} MiB", source.peek.described, source.sample.said or "all"]


def _presets(found: Diagnosis) -> list[str]:
    named = {"log": found.log.proposal.preset}
    if found.catalogue:
        named["catalogue"] = found.catalogue.proposal.preset
    said = [f"The {of} is {presets()[name]['what']}: preset {name}." for of, name in named.items() if name]
    sources = (found.log, found.catalogue) if found.catalogue else (found.log,)
    return said + [f"{source.proposal.setting} is set, and is used." for source in sources if source.proposal.setting]


def _columns(title: str, source: Source, *, others: bool = True) -> Section:
    guesses = {guess.theirs: guess for guess in source.proposal.columns}
    rows = []
    for path, column in source.peek.columns.items():
        guess = guesses.get(path)
        shown = "; ".join(examples_of(column))
        rows.append([path, guess.ours if guess else "", guess.sure if guess else "", f"{column.blank_share:.0%}", shown,
                     guess.why if guess else ""])  # fmt: skip
    mapped = [row for row in rows if row[1]]
    unmapped = [row for row in rows if not row[1]] if others else []
    cut = max(MOST_COLUMNS - len(mapped), 0)
    said = [f"{len(unmapped) - cut:,} more columns are none of ours."] if len(unmapped) > cut else []
    header = ["column", "is", "how sure", "blank", "values", "why"]
    return Section(title, said, header, [*mapped, *unmapped[:cut]], [3])


def _taken(found: Diagnosis) -> Section:
    trial = found.trial
    if not trial.rows:
        return Section("What an ingest would take")
    rows = [
        [
            "accepted",
            share(trial.accepted, trial.rows),
            f"of which of other days than their folder's: {trial.of_other_days:,}" if trial.of_other_days else "",
        ]
    ]
    for rule, count in trial.by_rule.most_common(MOST_RULES):
        rows.append([rule, share(count, trial.rows), RULES.get(rule, ("",))[0]])
    days = [day for day, told in trial.days.items() if not told.refused]
    said = [f"{trial.rows:,} rows of {counted(len(days), 'day')}, from {min(days)} to {max(days)}."] if days else []
    return Section("What an ingest would take", said, ["rule", "rows", "what"], rows, [1])


def _clicks(found: Diagnosis) -> Section:
    facts = found.facts
    if not facts:
        return Section("Clicks")
    sessions = facts.sessions
    made = ", made of users and times" if found.trial.made_sessions else ""
    rows = [
        ["sessions", f"{sessions.count:,}{made}"],
        ["products of a session", f"median {sessions.median_products:g}, at most {sessions.most_products:,}; "
         f"{share(sessions.single, sessions.count)} with one alone"],
        ["users", f"{facts.users:,}" if facts.users else "none"],
        ["event types", ", ".join(f"{kind} {count:,}" for kind, count in facts.types.items())],
        ["products clicked", f"{facts.products:,}, ids of digits alone: {share(facts.numeric_ids, facts.products)}"],
        ["days", f"{len(facts.by_day):,} with clicks, {len(facts.gaps):,} without, "
         f"from {min(facts.by_day)} to {max(facts.by_day)}"],
    ]  # fmt: skip
    if found.log.proposal.time:
        rows.append(["times", found.log.proposal.time.described])
    return Section("Clicks that an ingest would take", [], ["", ""], rows)


def _titles(found: Diagnosis) -> Section:
    writing = found.writing
    if not writing:
        return Section("Titles")
    scripts = ", ".join(f"{name} {part:.1%}" for name, part in writing.scripts.items())
    rows = [
        ["titles", f"{writing.titles:,}"],
        ["scripts", scripts],
        ["words between blanks", f"{writing.words:.1f} a title"],
    ]
    if writing.languages:
        rows.append(["languages, by their letters", ", ".join(writing.languages)])
    return Section("Titles of the catalogue", [], ["", ""], rows)


def _night(found: Diagnosis) -> Section:
    told, settings = found.forecast, found.settings
    if not told:
        return Section("A night")
    rows = [
        ["days of clicks in the window", f"{told.days:,} of {settings.window_days}"],
        ["products", f"{told.products:,}" + ("" if found.products else ", those clicked: there is no catalogue")],
        ["sessions", f"{told.sessions:,}"],
        [f"pairs that {settings.min_support} sessions share", f"{told.pairs:,}"],
        ["pages with a list from clicks", share(told.from_clicks, told.products)],
        ["more pages with one from titles", share(told.from_titles, told.products)],
        [
            "pages with neither",
            f"{share(told.neither, told.products)}: the model, the category and best sellers fill them",
        ],
    ]
    return Section(f"What the night of {told.night} would have to go by", [], ["", ""], rows)


def commands(
    found: Diagnosis, log: Path, catalogue: Path | None, written: Mapping[str, Path] | None = None
) -> list[str]:
    """What to type next, in order, with the files where they are written; settings may stand in .env instead."""
    said, days = formats(found), found.days
    typed: list[str] = []
    if said and not written:
        beside = f" --catalogue {quote(str(catalogue))}" if catalogue else ""
        typed.append(f"python -m tasks doctor --log {quote(str(log))}{beside} --write log_format.json")
    given = {"LOG_FORMAT": found.settings.log_format, "CATALOGUE_FORMAT": found.settings.catalogue_format}
    files = FILES | {name: str(file) for name, file in (written or {}).items()}
    settings = {name: str(given[name] or file) for name, file in files.items() if name in said or given[name]}
    settings |= {"CATALOGUE_URL": str(catalogue)} if catalogue else {}
    if found.log.delivered.is_dated:
        settings["CLICK_LOG_URL"] = str(log)
    else:
        prefix = "".join(f"{name}={quote(settings.pop(name))} " for name in _of_split(found) if name in settings)
        titles = " --catalogue var/catalogue.parquet" if found.titles_from_log else ""
        typed.append(f"{prefix}python -m tasks split_by_day --log {quote(str(log))} --to var/clicks{titles}")
        settings["CLICK_LOG_URL"] = "var/clicks"
        settings |= {"CATALOGUE_URL": "var/catalogue.parquet"} if found.titles_from_log else {}
    if 1 < len(days) <= found.settings.held_out_days:
        settings["HELD_OUT_DAYS"] = str(max(len(days) // 4, 1))
    typed += [f"export {name}={quote(value)}" for name, value in settings.items()]
    night = found.night
    window = [day for day in days if not night or day <= night][-found.settings.window_days :]
    if window:
        first = window[-FIRST_TABLE_DAYS:][0]  # enough to see lists in minutes; a night goes on with the rest
        typed.append(f"python -m local run baseline --night {night} --since {first}")
        typed.append(f"python -m local night --night {night} --since {window[0]}")
    return typed


def _of_split(found: Diagnosis) -> list[str]:
    """The formats that describe what is divided by day, which nobody needs any more afterwards."""
    return [*FILES] if found.titles_from_log else ["LOG_FORMAT"]
