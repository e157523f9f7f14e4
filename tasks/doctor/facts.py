"""What accepted clicks say of themselves: sessions, users, types, hours of the day, products beside the catalogue."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from tasks.night import OLDEST

EXAMPLES = 3
QUIET_HOURS = 8
MOST_DIGITS = 10**30  # of a number that may be an id
MANY_CLICKS = 2_000  # for a day's hours to say anything


@dataclass(frozen=True)
class Sessions:
    """Counts of sessions; single: those of one product alone, which make no pair; too_large: of too many products."""

    count: int
    single: int
    median_products: float
    most_products: int
    too_large: int
    largest: Sequence[str]


@dataclass(frozen=True)
class Alike:
    """Ids of clicks that the catalogue lacks and that are there but for their form."""

    clicks: int
    what: str
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Facts:
    """Of accepted clicks: by type, by hour of the day in UTC, by day; their sessions, users and products."""

    sessions: Sessions
    users: int
    with_user: int
    types: dict[str, int]
    by_hour: list[int]
    by_day: dict[date, int]
    products: int
    numeric_ids: int
    zero_padded_ids: int
    missing_clicks: int = 0
    missing_ids: Sequence[str] = ()
    alike: Sequence[Alike] = field(default_factory=list)
    never_clicked: int = 0

    @cached_property
    def gaps(self) -> list[date]:
        """Days between the first and the last that have no click."""
        days = [day for day in self.by_day if day not in self.strange_days]
        if not days:
            return []
        first, last = min(days), max(days)
        return [day for n in range((last - first).days) if (day := first + timedelta(days=n)) not in self.by_day]

    @cached_property
    def strange_days(self) -> list[date]:
        """Days before any shop had clicks, and days that have not come."""
        today = datetime.now(UTC).date()
        return [day for day in self.by_day if not OLDEST <= day <= today]

    @property
    def quiet(self) -> int | None:
        """The middle of the day's eight quietest hours, in UTC; None where too few clicks tell."""
        if sum(self.by_hour) < MANY_CLICKS or sum(map(bool, self.by_hour)) < 8:
            return None
        around = [sum(self.by_hour[(hour + k) % 24] for k in range(QUIET_HOURS)) for hour in range(24)]
        return (around.index(min(around)) + QUIET_HOURS // 2) % 24


def facts_of(clicks: ibis.Table, catalogue_ids: pa.ChunkedArray | None, most_products: int) -> Facts:
    """Count accepted clicks (`clicks_of`) beside the ids of a catalogue, if there is one.

    most_products: MAX_SESSION_PRODUCTS.
    """
    types: dict[str, int] = _counts(clicks, clicks.event_type.fill_null("(none)"))
    by_hour: dict[int, int] = _counts(clicks, clicks.event_time.hour())
    by_day: dict[date, int] = _counts(clicks, clicks.day)
    products = clicks.group_by("product_id").agg(clicks=ibis._.count()).order_by("product_id").to_pyarrow()
    ids = products["product_id"]
    is_numeric = pc.match_substring_regex(ids, "^[0-9]+$")
    totals = clicks.agg(users=clicks.user_id.nunique(), with_user=clicks.user_id.count()).to_pyarrow().to_pylist()[0]
    return Facts(
        _sessions(clicks, most_products),
        **totals,
        types={str(kind): count for kind, count in sorted(types.items(), key=lambda item: -item[1])},
        by_hour=[by_hour.get(hour, 0) for hour in range(24)],
        by_day={day: by_day[day] for day in sorted(by_day)},
        products=len(products),
        numeric_ids=pc.sum(is_numeric).as_py() or 0,
        zero_padded_ids=pc.sum(pc.match_substring_regex(ids, "^0[0-9]")).as_py() or 0,
        **_beside(products, catalogue_ids),
    )


def _counts(clicks: ibis.Table, of: ibis.Value) -> dict[Any, int]:
    rows = clicks.group_by(of=of).agg(clicks=ibis._.count()).to_pyarrow().to_pylist()
    return {row["of"]: row["clicks"] for row in rows}


def _sessions(clicks: ibis.Table, most_products: int) -> Sessions:
    sessions = clicks.group_by("session_id").agg(products=clicks.product_id.nunique())
    counted = sessions.agg(
        count=sessions.count(), single=(sessions.products == 1).sum(), median=sessions.products.median(),
        most=sessions.products.max(), too_large=(sessions.products > most_products).sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    largest = sessions.order_by(ibis.desc("products"), "session_id").limit(EXAMPLES).to_pyarrow().to_pylist()
    shown = [f"{row['session_id'].partition(' ')[2]} ({row['products']:,} products)" for row in largest]
    return Sessions(
        counted["count"], counted["single"], counted["median"], counted["most"], counted["too_large"], shown
    )


def _beside(products: pa.Table, catalogue_ids: pa.ChunkedArray | None) -> dict[str, Any]:
    if catalogue_ids is None:
        return {}
    is_listed = pc.is_in(products["product_id"], catalogue_ids)
    missing = products.filter(pc.invert(is_listed))
    by_clicks = missing.sort_by([("clicks", "descending"), ("product_id", "ascending")])
    return {
        "missing_clicks": pc.sum(missing["clicks"]).as_py() or 0,
        "missing_ids": [
            f"{row['product_id']} ({row['clicks']:,} clicks)" for row in by_clicks.slice(0, EXAMPLES).to_pylist()
        ],
        "alike": alike(missing["product_id"].to_pylist(), missing["clicks"].to_pylist(), catalogue_ids.to_pylist()),
        "never_clicked": len(catalogue_ids) - (pc.sum(is_listed).as_py() or 0),
    }


def _as_number(text: str) -> str:
    """41.0, 4.1E1 and 041 as 41; what is no whole number as it is."""
    try:
        number = Decimal(text.strip())
        return f"{number:.0f}" if number == number.to_integral_value() and abs(number) < MOST_DIGITS else text.strip()
    except (ArithmeticError, ValueError):
        return text.strip()


# What makes two ids one to people though not to `normal_id`, the least first.
FORMS: dict[str, Callable[[str], str]] = {
    "blanks around": str.strip,
    "upper and lower case": lambda text: text.strip().casefold(),
    "zeros in front": lambda text: text.strip().casefold().lstrip("0"),
    "a number written in another way": _as_number,
    "a prefix or a suffix": lambda text: max(re.split(r"[^0-9a-z]+", text.casefold()), key=len),
}


def alike(missing: Sequence[str], clicks: Sequence[int], listed: Collection[str]) -> list[Alike]:
    """Which ids that a catalogue lacks it has in another form, by what they differ in; each id counts once."""
    found, left = [], dict(zip(missing, clicks, strict=True))
    for what, form in FORMS.items():
        there: dict[str, str] = {}
        for id_ in listed:
            there.setdefault(form(id_), id_)
        pairs = [(id_, there[form(id_)]) for id_ in left if form(id_) and form(id_) in there]
        if pairs:
            found.append(Alike(sum(left.pop(id_) for id_, _ in pairs), what, pairs[:EXAMPLES]))
    return found
