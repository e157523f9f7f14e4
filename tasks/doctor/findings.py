"""What is odd about a delivery: what stops a night, what to look at, what is good to know; with counts and examples."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from tasks.doctor.diagnosis import Diagnosis
from tasks.ingest.catalogue_of_log import NO_TITLES
from tasks.ingest.log_format import LIST_EVENTS
from tasks.ingest.rules import DUPLICATES
from tasks.ingest.rules import OTHER_EVENT as OTHER
from tasks.night import OLDEST

Level = Literal["stops a night", "look at it", "good to know"]
LEVELS: tuple[Level, ...] = ("stops a night", "look at it", "good to know")
RULES = {  # what a rule of the ingest means, and what to do where it refuses many rows
    "unreadable_line": ("lines are no rows", "write the file again as its format asks"),
    "empty_session": ("rows have no session", "name the column of sessions, or that of users, in LOG_FORMAT"),
    "missing_product": ("rows have no product", "leave out what is about no product, or name its column"),
    "unfit_id": ("rows have an id that is too long or holds a zero byte", "see whether the right column is named"),
    "missing_time": (
        "rows have no time",
        'say "order_level": ["event_time"] in LOG_FORMAT where the first row of an order alone has it',
    ),
    "unparsable_time": ("rows have a time that cannot be read", "say its time_unit or time_format in LOG_FORMAT"),
    "ambiguous_time": ("rows have a time that could be read in several ways", "say its time_format in LOG_FORMAT"),
    "too_late": ("rows are too old for their folder", "deliver them in their own day's folder, or raise LATENESS_DAYS"),
    "after_its_day": (
        "rows are of a day after their folder's",
        "set LOG_TIME_ZONE where folders are cut at local midnight",
    ),
    "unknown_event_type": (
        "rows have a type that is none of ours",
        'map it in event_types, or leave out others by "*": null',
    ),
    "other_event": ("rows are of types that LOG_FORMAT says are of no interest", ""),
    "bot_session": ("rows are in sessions of more than BOT_SESSION_CLICKS clicks", "is session_id a session?"),
    "wholesale_session": (
        "rows are in sessions of too many products",
        "raise WHOLESALE_SESSION_PRODUCTS if they are orders",
    ),
    "duplicate_event_id": ("rows repeat an event_id", "each counts once: nothing to do, if the id is one of an event"),
    "duplicate_row": ("rows repeat another", "each counts once: nothing to do"),
    "missing_source_product": ("clicks on lists do not say their page", "log source_product_id with them"),
}
FEW_SESSIONS_WITH_PAIRS = 0.2
OF_OTHER_DAYS = 0.02  # share of the rows from which on folders are asked for their zone
HOUR, DAY_AND_A_BIT = timedelta(hours=1), 24.5
BLANK, UNLISTED, MISSING_USER, MIXED, FEW_PAGES = 0.2, 0.05, 0.5, 0.01, 0.2  # shares


@dataclass(frozen=True)
class Finding:
    """One oddity: how grave it is, what was seen, what to do, and up to three examples."""

    level: Level
    what: str
    do: str = ""
    examples: Sequence[str] = ()


def findings_of(diagnosis: Diagnosis) -> list[Finding]:
    """Everything worth saying, the gravest first."""
    parts = (_refusals, _files, _rows, _times, _sessions, _ids, _catalogue, _titles, _night)
    found = [finding for part in parts for finding in part(diagnosis)]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def counted(count: int, what: str) -> str:
    """1 day, 2 days."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def share(part: float, whole: float) -> str:
    """12,345 (6%), with a digit after the point below 1%."""
    percent = 100 * part / whole if whole else 0
    return f"{part:,.0f} ({percent:.0f}%)" if percent >= 1 or not part else f"{part:,.0f} ({max(percent, 0.1):.1f}%)"


def _refusals(found: Diagnosis) -> Iterator[Finding]:
    for name, refusal in found.refusals.items():
        yield Finding("stops a night", f"the {name} would be refused: {refusal}")
    for name, source in (("log", found.log), ("catalogue", found.catalogue)):
        if source and source.proposal.lacks:
            columns = ", ".join(source.peek.columns)
            yield Finding(
                "stops a night",
                f"no column of the {name} looks like {', '.join(source.proposal.lacks)}; its columns are {columns}",
                f"name them under columns in {'LOG_FORMAT' if name == 'log' else 'CATALOGUE_FORMAT'}",
            )
    for day, told in found.trial.days.items():
        if told.refused:
            yield Finding("stops a night", f"the log of {day} would be refused: {told.refused}")


def _files(found: Diagnosis) -> Iterator[Finding]:
    for name, source in (("log", found.log), ("catalogue", None if found.titles_from_log else found.catalogue)):
        if not source:
            continue
        if source.peek.guessed:
            yield Finding(
                "look at it",
                f"the {name} is not UTF-8 and does not say what it is: {source.peek.encoding} is a guess",
                f"if it reads wrong, name another encoding; {source.peek.guessed}",
            )
        if source.different:
            names = [str(name) for name in source.different[:3]]
            yield Finding("look at it", f"{len(source.different)} of the files looked at have other columns", "", names)
        blank = [
            f"{guess.theirs} ({guess.ours}): {column.blank_share:.0%} blank"
            for guess in source.proposal.columns
            if (column := source.peek.columns[guess.theirs]).blank_share > BLANK and guess.ours != "user_id"
        ]
        if blank:
            yield Finding("look at it", f"columns of the {name} are often blank", "", blank[:3])
    ignored = found.log.delivered.ignored
    if ignored:
        yield Finding("good to know", f"{counted(len(ignored), 'file')} passed over: no log", "", list(ignored[:3]))
    if not found.log.delivered.is_dated:
        said = f", but {found.log.delivered.other_days}" if found.log.delivered.other_days else ""
        yield Finding(
            "look at it",
            f"the log is in no folders date=YYYY-MM-DD{said}: nights read one folder a day",
            "split_by_day makes them",
        )


def _rows(found: Diagnosis) -> Iterator[Finding]:
    trial = found.trial
    refused = Counter({rule: count for rule, count in trial.by_rule.items() if rule not in (*DUPLICATES, OTHER)})
    judged = trial.rows - trial.by_rule[OTHER]
    most = refused.most_common(1) if refused.total() > found.settings.max_quarantined_share * judged else []
    if trial.rows and not (trial.accepted or most):
        yield Finding("stops a night", "no row would be accepted", "see why in what follows, and change LOG_FORMAT")
    for rule, count in trial.by_rule.most_common():
        what, do = RULES.get(rule, (f"rows are refused by {rule}", ""))
        grave = bool(most) and rule == most[0][0]
        level: Level = (
            "stops a night"
            if grave
            else "look at it"
            if count > 0.01 * trial.rows and rule != OTHER
            else "good to know"
        )
        more = ": more than MAX_QUARANTINED_SHARE, with all that is refused" if grave else ""
        yield Finding(level, f"{share(count, trial.rows)} {what}{more} [{rule}]", do, trial.examples.get(rule, ()))
    if trial.from_order:
        yield Finding(
            "good to know",
            f"{share(trial.from_order, trial.rows)} rows have from the first row of their order what they leave blank",
        )
    nameless = [value for value, kind in found.log.proposal.types.items() if kind is None and value not in LIST_EVENTS]
    if nameless:
        yield Finding(
            "look at it", f"{len(nameless)} event types stand for none of ours and are left out",
            "map those that are a view, an add to cart or a purchase in event_types", nameless[:3],
        )  # fmt: skip


def _times(found: Diagnosis) -> Iterator[Finding]:
    shape, facts = found.log.proposal.time, found.facts
    if shape and shape.ambiguous:
        written = found.log.peek.columns[_theirs(found, "event_time")].texts
        yield Finding(
            "look at it", f"times fit both {shape.time_format} and {shape.ambiguous}: no day is beyond the 12th",
            "see which it is, and say so as time_format", written[:3],
        )  # fmt: skip
    if not facts:
        return
    quiet = facts.quiet
    if quiet is not None and not 0 <= quiet <= 7:
        offset = (3 - quiet + 12) % 24 - 12
        where = (
            "have no offset and are taken as UTC"
            if shape and not shape.has_zone and shape.kind != "number"
            else "are UTC"
        )
        yield Finding(
            "look at it",
            f"times {where}, and the quietest hours are around {quiet}:00: those of a shop at UTC{offset:+d}, or so",
            "days end at UTC's midnight; set time_zone where times are local, LOG_TIME_ZONE where folders are",
        )
    yield from _days_of_folders(found)
    if facts.gaps:
        weekday, times = Counter(f"{day:%A}" for day in facts.gaps).most_common(1)[0]
        weekly = f", {times:,} of them {weekday}s" if times > max(len(facts.gaps) / 2, 2) else ""
        yield Finding(
            "look at it" if len(facts.gaps) > 2 else "good to know",
            f"days between the first and the last have no click: {len(facts.gaps):,}{weekly}",
            "deliver them if something was clicked", [str(day) for day in facts.gaps[:3]],
        )  # fmt: skip
    if facts.strange_days:
        rows = sum(facts.by_day[day] for day in facts.strange_days)
        yield Finding(
            "look at it", f"{share(rows, found.trial.accepted)} clicks are of days before {OLDEST} or after today",
            "see whether time_unit, time_format or the clock of who writes the log is wrong",
            [str(day) for day in facts.strange_days[:3]],
        )  # fmt: skip
    if found.last_day_is_half:
        last = found.days[-1]
        yield Finding(
            "look at it", f"the last day, {last}, has {facts.by_day[last]:,} clicks, a fraction of the days before",
            f"run the night of {found.night}: half a day misleads the held-out figures",
        )  # fmt: skip


def _days_of_folders(found: Diagnosis) -> Iterator[Finding]:
    trial, zone = found.trial, found.settings.log_time_zone
    if zone or trial.of_other_days < OF_OTHER_DAYS * trial.rows:
        return
    first, last = min(trial.begins) / HOUR, max(trial.ends) / HOUR
    offset = -int(first) if first > 0 else 24 - math.ceil(last)
    told = last - first <= DAY_AND_A_BIT and offset
    yield Finding(
        "look at it",
        f"{share(trial.of_other_days, trial.rows)} rows are of another UTC day than their folder's"
        + (f": folders begin {first:.1f} and end {last:.1f} hours after UTC's midnight" if told else ""),
        f"folders are cut at midnight of UTC{offset:+d}, it seems: "
        "set LOG_TIME_ZONE to your zone, such as Europe/Berlin"
        if told else "see when the folders are cut, and set LOG_TIME_ZONE",
    )  # fmt: skip


def _theirs(found: Diagnosis, ours: str) -> str:
    return next(guess.theirs for guess in found.log.proposal.columns if guess.ours == ours)


def _sessions(found: Diagnosis) -> Iterator[Finding]:
    facts, trial = found.facts, found.trial
    if not facts:
        return
    sessions = facts.sessions
    if trial.made_sessions:
        yield Finding(
            "good to know",
            "the log has no sessions: they are made of users and times",
            f"a user's events less than SESSION_GAP_MINUTES ({found.settings.session_gap_minutes:g}) apart are one",
        )
    if sessions.count - sessions.single < FEW_SESSIONS_WITH_PAIRS * sessions.count:
        stops = sessions.single == sessions.count
        yield Finding(
            "stops a night" if stops else "look at it",
            f"{share(sessions.single, sessions.count)} sessions hold one product alone and make no pair",
            "see whether the column is one of sessions: an id of each event makes no pair",
        )
    if sessions.too_large:
        yield Finding(
            "look at it" if sessions.too_large > 0.01 * sessions.count else "good to know",
            f"{share(sessions.too_large, sessions.count)} sessions have more than MAX_SESSION_PRODUCTS "
            f"({found.settings.max_session_products}) products in a day and count for nothing",
            "raise it where they are orders of a wholesaler", sessions.largest,
        )  # fmt: skip
    if facts.with_user and facts.with_user < MISSING_USER * trial.accepted:
        yield Finding("good to know", f"{share(trial.accepted - facts.with_user, trial.accepted)} clicks have no user")


def _ids(found: Diagnosis) -> Iterator[Finding]:
    facts = found.facts
    if facts and facts.zero_padded_ids:
        yield Finding(
            "good to know", f"{share(facts.zero_padded_ids, facts.products)} product ids begin with a zero",
            "ids are text: a spreadsheet that opens and saves the file takes the zeros away",
        )  # fmt: skip
    for one in facts.alike if facts else ():
        yield Finding(
            "look at it", f"{one.clicks:,} clicks are on products that the catalogue lists in another form: {one.what}",
            "write ids the same in both", [f"{clicked!r} clicked, {listed!r} listed" for clicked, listed in one.pairs],
        )  # fmt: skip


def _catalogue(found: Diagnosis) -> Iterator[Finding]:
    facts = found.facts
    if not found.catalogue and found.log.sample.files:
        yield Finding("look at it", "no catalogue was named, and the log has no titles", "name it with --catalogue")
    if found.products and found.products.refused.num_rows:
        refused = found.products.refused
        counts = refused.group_by("reason").aggregate([("reason", "count")]).to_pylist()
        yield Finding(
            "look at it", f"{refused.num_rows:,} products of the catalogue are refused",
            "", [f"{row['reason']}: {row['reason_count']:,}" for row in counts],
        )  # fmt: skip
    if not facts or not found.products:
        return
    if facts.missing_clicks:
        grave = facts.missing_clicks > found.settings.max_unlisted_share * found.trial.accepted
        level: Level = "stops a night" if grave else "look at it"
        few = facts.missing_clicks < UNLISTED * found.trial.accepted
        yield Finding(
            "good to know" if few else level,
            f"{share(facts.missing_clicks, found.trial.accepted)} clicks are on products that the catalogue lacks",
            "write ids alike in both, or set MAX_UNLISTED_SHARE=1 where the catalogue only lags behind"
            if grave
            else "they are kept, and not served, until it lists them",
            facts.missing_ids,
        )  # fmt: skip
    if facts.never_clicked:
        listed = found.products.products.num_rows
        yield Finding("good to know", f"{share(facts.never_clicked, listed)} products of the catalogue have no click")


def _titles(found: Diagnosis) -> Iterator[Finding]:
    writing = found.writing
    if not writing:
        return
    if sum(part >= MIXED for part in writing.scripts.values()) > 1:
        mixed = [f"{script}: {title[:60]}" for script, title in writing.examples.items()]
        yield Finding("good to know", f"titles are in {len(writing.scripts)} scripts", "", mixed[:3])
    if writing.without_blanks > 0.05:
        yield Finding(
            "good to know", f"{writing.without_blanks:.0%} of the titles are in a script without blanks between words"
        )
    if found.products:
        titles = found.products.products["title"].value_counts().to_pylist()
        empty = [row for row in titles if row["values"].lower() in NO_TITLES]
        if empty:
            yield Finding(
                "look at it", f"{sum(row['counts'] for row in empty):,} titles say that there is none",
                "leave them blank, or leave the products out: titles like these are alike to a model",
                [f"{row['values']!r} ({row['counts']:,})" for row in empty[:3]],
            )  # fmt: skip
        often = sorted((row for row in titles if row["counts"] > 1), key=lambda row: -row["counts"])
        if often:
            shared, products = sum(row["counts"] for row in often), len(found.products.products)
            most = shared > products / 2
            yield Finding(
                "look at it" if most else "good to know",
                f"{share(shared, products)} products share their title with another",
                "is this the column of titles? A model tells such products apart by clicks alone" if most else
                "variants of a product: MAX_VARIANTS limits them in a list",
                [f"{row['values'][:60]} ({row['counts']})" for row in often[:3]],
            )  # fmt: skip


def _night(found: Diagnosis) -> Iterator[Finding]:
    told, settings = found.forecast, found.settings
    if not told:
        return
    if told.days <= settings.held_out_days:
        yield Finding(
            "stops a night",
            f"{counted(told.days, 'day')} of clicks: HELD_OUT_DAYS ({settings.held_out_days}) leaves none to train on",
            f"deliver more, or set HELD_OUT_DAYS={max(told.days // 4, 1)}" if told.days > 1 else "deliver more days",
        )
    days = len(found.facts.by_day) if found.facts else 0
    if told.pairs and told.from_clicks < FEW_PAGES * told.products and days > told.days:
        yield Finding(
            "look at it",
            f"clicks of {counted(told.days, 'day')} give {share(told.from_clicks, told.products)} of the pages a list; "
            f"the log has {days:,} days",
            f"raise WINDOW_DAYS ({settings.window_days}) for what is seldom clicked, and HALF_LIFE_DAYS with it",
        )
    if not told.pairs:
        yield Finding(
            "stops a night", f"no pair of products is shared by MIN_SUPPORT ({settings.min_support}) sessions",
            "deliver more days, see whether sessions are sessions, or set MIN_SUPPORT=1",
        )  # fmt: skip
