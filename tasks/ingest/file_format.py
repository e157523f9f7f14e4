"""How a delivered file is written, beside its content: which column is which, delimiter, encoding, header."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tasks.errors import BadInput
from tasks.ingest.presets import Of, with_preset

Name = Annotated[str, Field(min_length=1)]


class FileFormat(BaseModel):
    """What a log and a catalogue may say of their files; everything left out is as our own contract says.

    preset: a name of presets.json, which says what is not said beside it.
    columns: our name -> the file's column, or several, of which the first that is not blank counts. A dot leads into
    nested fields (`device.category`), lists of {key, value} as GA4 writes them (`event_params.ga_session_id`) and JSON
    text; a column that is called so, dot included, goes first.
    items: column, or path, of a list; one row becomes one row an item, whose fields are named with a dot after it
    (`products.product_id`), an item that is no object by the path alone. A row without items stays one row.
    delimiter: of CSV; None: what a line sep= or the header says, else a comma. encoding: of text, one of Python's
    names; a byte order mark goes first. header: names of the columns of a CSV whose first line is a row already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: ClassVar[Of]

    preset: str | None = None
    columns: dict[str, Name | Annotated[list[Name], Field(min_length=1)]] = Field({})
    items: Name | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    header: Annotated[list[Name], Field(min_length=1)] | None = None

    @classmethod
    def read(cls, file: Path | None) -> Self:
        """The format of a JSON file, our own contract without one; raises BadInput for a file that is no format."""
        if file is None:
            return cls()
        try:
            return cls.model_validate_json(file.read_text())
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise BadInput(f"{setting_of(cls.of)} must be a JSON file of columns and the like: {error}") from error

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        return with_preset(given, cls.of)

    @field_validator("delimiter")
    @classmethod
    def _is_one_character(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'):
            raise ValueError(f"delimiter must be one ASCII character, no quote or line end, got {delimiter!r}")
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
    def _header_names_each_once(self) -> Self:
        if self.header and len({name.lower() for name in self.header}) < len(self.header):
            raise ValueError("header has a name twice: name each column once")
        return self

    @property
    def setting(self) -> str:
        """The setting that names such a format."""
        return setting_of(self.of)

    @property
    def required(self) -> Sequence[str]:
        """Our names of the columns that a file must have; "a or b" asks for one of the two."""
        raise NotImplementedError

    @property
    def lists(self) -> Collection[str]:
        """Our names of the columns that may hold a list, which is then read as one text."""
        return ()

    def sources_of(self, name: str) -> tuple[str, ...]:
        """The file's columns for one of our names, the one that counts first in front."""
        source = self.columns.get(name, name)
        return (source,) if isinstance(source, str) else tuple(source)

    @property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """Our name -> the file's columns, of every column that this kind of file has."""
        raise NotImplementedError

    @property
    def wanted(self) -> set[str]:
        """The columns of a file that are asked for, those among them in which a dotted name begins."""
        names = {name for sources in self.sources.values() for name in sources}
        names |= {self.items} if self.items else set()
        return names | {root_of(name) for name in names}

    @property
    def is_plain(self) -> bool:
        """Whether each of our columns is one column of the file, of one value a row."""
        return self.items is None and all(len(names) == 1 and "." not in names[0] for names in self.sources.values())


def setting_of(kind: Of) -> str:
    """The setting that names the format of a log, or of a catalogue."""
    return f"{kind.upper()}_FORMAT"


def root_of(name: str) -> str:
    """The column in which a dotted name begins."""
    return name.partition(".")[0]
