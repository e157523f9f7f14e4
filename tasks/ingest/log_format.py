"""How a shop writes its log: its names for our columns and event types, and its unit of time."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from tasks.errors import BadInput
from tasks.ingest.time_spellings import pattern_of
from tasks.settings import Settings, zone_named

REQUIRED = ("event_time", "session_id or user_id", "product_id")
COLUMNS = ("event_time", "session_id", "product_id", "event_id", "user_id", "event_type", "source_product_id")
EVENT_TYPES = ("view", "add_to_cart", "purchase")  # weakest first
LIST_EVENTS = ("recommendation_view", "recommendation_click")  # they count for no pair: what is opened has a view
LIST_COLUMNS = ("list_version_id", "list_channel")  # of these events alone


class LogFormat(BaseModel):
    """What differs from our own contract; everything left out is as the contract says.

    columns: our name -> the log's name; event_types: the log's name -> ours. event_time is a date and time in one of
    the spellings of tasks.ingest.time_spellings; time_unit: it counts from 1970; time_format: it is written as strptime
    reads it; time_zone: where clocks showed a time that is written without an offset (None: UTC).
    Raises pydantic.ValidationError for an unknown column, event type or zone, a format that cannot be, or one log
    column under two of our names; a log without sessions may give its users for them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, str] = {}
    event_types: dict[str, str] = {}
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    time_format: str | None = None
    time_zone: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str | None) -> str | None:
        return zone and zone_named(zone)

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
        if unknown := set(self.event_types.values()) - set(kinds):
            raise ValueError(f"event types must be among {', '.join(kinds)}, got {', '.join(sorted(unknown))}")
        others = {name: column for name, column in self.names.items() if name != "session_id"}
        is_twice = self.names["session_id"] in {column for name, column in others.items() if name != "user_id"}
        if is_twice or len(set(others.values())) < len(others):
            raise ValueError("a column of the log is under two of our names: give each a column of its own")
        return self

    @property
    def names(self) -> dict[str, str]:
        """Our name -> the log's name, of every column."""
        return {name: self.columns.get(name, name) for name in (*COLUMNS, *LIST_COLUMNS)}


def read_log_format(settings: Settings) -> LogFormat:
    """The format of LOG_FORMAT, or our own contract where there is none; raises BadInput for a file that is no such."""
    if settings.log_format is None:
        return LogFormat()
    try:
        return LogFormat.model_validate_json(settings.log_format.read_text())
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise BadInput(f"LOG_FORMAT must be a JSON file of columns, event_types and times: {error}") from error
