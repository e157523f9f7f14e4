"""How a shop writes its log: its names for our columns and event types, and its unit of time."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

import ibis
from pydantic import Field, model_validator

from tasks.ingest.file_format import FileFormat
from tasks.ingest.presets import Of
from tasks.ingest.time_spellings import pattern_of
from tasks.settings import Zone

REQUIRED = ("event_time", "session_id or user_id", "product_id")
COLUMNS = ("event_time", "session_id", "product_id", "event_id", "user_id", "event_type", "source_product_id")
EVENT_TYPES = ("view", "add_to_cart", "purchase")  # weakest first
LIST_EVENTS = ("recommendation_view", "recommendation_click")  # they count for no pair: what is opened has a view
LIST_COLUMNS = ("list_version_id", "list_channel")  # of these events alone
ORDER_LEVEL = ("event_time", "user_id", "event_type")  # what may be one of all lines of an order
ALL_OTHERS = "*"  # as an event type of the log
OTHER = "(other) "  # before the event types that LOG_FORMAT says are of no interest


class LogFormat(FileFormat):
    """What differs from our own contract; everything left out is as the contract says.

    event_types: the log's name -> ours; null: rows of this type are of no interest, and of "*" those of all types that
    are not named. event_time is a date and time in one of the spellings of tasks.ingest.time_spellings; time_unit: it
    counts from 1970; time_format: it is written as strptime reads it; time_zone: where clocks showed a time that is
    written without an offset (None: UTC). Where a row becomes several by `items`, its event_id is the first one's, and
    the n-th has #n after it: an event that comes again is still found, and its items are no duplicates of one another.
    order_level: which of ORDER_LEVEL only the first row of an order, a session_id within a file, may have: where a
    further row leaves one blank, it has the first one's.
    Raises pydantic.ValidationError for an unknown column, event type or zone, a format that cannot be, or one log
    column under two of our names; a log without sessions may give its users for them.
    """

    of: ClassVar[Of] = "log"

    event_types: dict[str, str | None] = Field({})
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    time_format: str | None = None
    time_zone: Zone | None = None
    order_level: list[str] = Field([])

    @model_validator(mode="after")
    def _time_is_one_or_the_other(self) -> Self:
        if self.time_format is not None:
            pattern_of(self.time_format)
            if self.time_unit is not None:
                raise ValueError("times are numbers (time_unit) or are written out (time_format), got both: keep one")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        ours, kinds = (*COLUMNS, *LIST_COLUMNS), (*EVENT_TYPES, *LIST_EVENTS)
        if unknown := set(self.columns) - set(ours):
            raise ValueError(f"columns must be among {', '.join(ours)}, got {', '.join(sorted(unknown))}")
        if unknown := {kind for kind in self.event_types.values() if kind is not None} - set(kinds):
            raise ValueError(f"event types must be among {', '.join(kinds)}, got {', '.join(sorted(unknown))}")
        if self.event_types.get(ALL_OTHERS) is not None:
            raise ValueError('event types that are not named, "*", may only be null: their rows are of no interest')
        others = {name: sources for name, sources in self.sources.items() if name != "session_id"}
        taken = [source for sources in others.values() for source in dict.fromkeys(sources)]
        of_others = {source for name, sources in others.items() if name != "user_id" for source in sources}
        if of_others & set(self.sources["session_id"]) or len(set(taken)) < len(taken):
            raise ValueError("a column of the log is under two of our names: give each a column of its own")
        return self

    @model_validator(mode="after")
    def _orders_are_sessions(self) -> Self:
        if unknown := set(self.order_level) - set(ORDER_LEVEL):
            raise ValueError(f"order_level must be among {', '.join(ORDER_LEVEL)}, got {', '.join(sorted(unknown))}")
        if self.order_level and self.sessions_are_users:
            raise ValueError(
                "order_level needs orders under session_id, but those are called as users are: name their column, or "
                'say "order_level": []'
            )
        return self

    @property
    def required(self) -> Sequence[str]:
        """What a click cannot do without."""
        return REQUIRED

    @property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """Our name -> the log's columns, of every column."""
        return {name: self.sources_of(name) for name in (*COLUMNS, *LIST_COLUMNS)}

    @property
    def sessions_are_users(self) -> bool:
        """Whether sessions are called as their users are, so that they are to be made."""
        return self.sources["session_id"] == self.sources["user_id"]

    def kind_of(self, kind: ibis.Value) -> ibis.Value:
        """Our name of an event type of the log; those of no interest have OTHER in front, unknown ones stay."""
        named = [(theirs, ours or OTHER + theirs) for theirs, ours in self.event_types.items() if theirs != ALL_OTHERS]
        unnamed = kind
        if ALL_OTHERS in self.event_types:
            ours = kind.isnull() | kind.isin((*EVENT_TYPES, *LIST_EVENTS))
            unnamed = ibis.ifelse(ours, kind, ibis.literal(OTHER) + kind)
        return kind.cases(*named, else_=unnamed) if named else unnamed
