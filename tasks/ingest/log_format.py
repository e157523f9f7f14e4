"""How a shop writes its log: its names for our columns and event types, and its unit of time."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tasks.errors import BadInput
from tasks.settings import Settings

REQUIRED = ("event_time", "session_id or user_id", "product_id")
COLUMNS = ("event_time", "session_id", "product_id", "event_id", "user_id", "event_type", "source_product_id")
EVENT_TYPES = ("view", "add_to_cart", "purchase")  # weakest first
LIST_EVENTS = ("recommendation_view", "recommendation_click")  # they count for no pair: what is opened has a view
LIST_COLUMNS = ("list_version_id", "list_channel")  # of these events alone


class LogFormat(BaseModel):
    """What differs from our own contract; everything left out is as the contract says.

    columns: our name -> the log's name; event_types: the log's name -> ours; time_unit: how event_time counts from 1970
    where it is a number (None: it is a date and time as ISO 8601 writes it).
    Raises pydantic.ValidationError for an unknown column or event type, or one log column under two of our names; a log
    without sessions may give its users for them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, str] = {}
    event_types: dict[str, str] = {}
    time_unit: Literal["s", "ms", "us"] | None = None

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
        raise BadInput(f"LOG_FORMAT must be a JSON file of columns, event_types and time_unit: {error}") from error
