"""How a delivered file is written, beside its content: which column is which, delimiter, encoding, header."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator


class FileFormat(BaseModel):
    """What a log and a catalogue may say of their files; everything left out is as our own contract says.

    columns: our name -> the file's column, or several, of which the first that is not blank counts. A dot leads into
    nested fields (`device.category`), lists of {key, value} as GA4 writes them (`event_params.ga_session_id`) and JSON
    text; a column that is called so, dot included, goes first.
    items: column, or path, of a list; one row becomes one row an item, whose fields are named with a dot after it
    (`products.product_id`), an item that is no object by the path alone. A row without items stays one row.
    delimiter: of CSV; None: what a line sep= or the header says, else a comma. encoding: of text, one of Python's
    names; a byte order mark goes first. header: names of the columns of a CSV whose first line is a row already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, str | list[str]] = {}
    items: str | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    header: list[str] | None = None

    @field_validator("delimiter")
    @classmethod
    def _is_one_character(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'):
            raise ValueError(f'delimiter must be one ASCII character and no quote or line end, got {delimiter!r}: "\\t"')
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _is_of_text(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except (LookupError, UnicodeError):
            raise ValueError(f"encoding must be one of Python's names, such as latin-1, got {encoding!r}") from None
        return encoding

    @model_validator(mode="after")
    def _names_say_something(self) -> Self:
        lists = [[*self.sources_of(name)] for name in self.columns]
        if any(not names or not all(names) for names in [*lists, [self.items or "-"], self.header or ["-"]]):
            raise ValueError("columns, items and header must name columns: a name is empty")
        if self.header and len({name.lower() for name in self.header}) < len(self.header):
            raise ValueError("header has a name twice: name each column once")
        return self

    def sources_of(self, name: str) -> tuple[str, ...]:
        """The file's columns for one of our names, the one that counts first in front."""
        source = self.columns.get(name, name)
        return (source,) if isinstance(source, str) else tuple(source)

    @property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """Our name -> the file's columns, of every column; raises NotImplementedError where no kind of file is meant."""
        raise NotImplementedError
