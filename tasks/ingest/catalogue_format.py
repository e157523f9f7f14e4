"""How a shop writes its catalogue: its names for our columns, and how its files are written."""

from collections.abc import Collection, Mapping, Sequence
from typing import Self

from pydantic import ValidationError, model_validator

from tasks.errors import BadInput
from tasks.ingest.file_format import FileFormat
from tasks.settings import Settings

REQUIRED = ("product_id", "title")
COLUMNS = (*REQUIRED, "category", "brand", "in_stock", "blocked", "price", "image_url")


class CatalogueFormat(FileFormat):
    """What differs from our own contract; everything left out is as the contract says.

    A column under several of our names is allowed. A category may be a list, which is read as a path, A > B > C; of a
    list of titles, brands or pictures the first counts. Raises pydantic.ValidationError for an unknown column.
    """

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if unknown := set(self.columns) - set(COLUMNS):
            raise ValueError(f"columns must be among {', '.join(COLUMNS)}, got {', '.join(sorted(unknown))}")
        return self

    @property
    def setting(self) -> str:
        """The setting that names such a format."""
        return "CATALOGUE_FORMAT"

    @property
    def required(self) -> Sequence[str]:
        """What a product cannot do without."""
        return REQUIRED

    @property
    def lists(self) -> Collection[str]:
        """A shop writes these as lists, where one text is asked for."""
        return ("title", "category", "brand", "image_url")

    @property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """Our name -> the catalogue's columns, of every column."""
        return {name: self.sources_of(name) for name in COLUMNS}


def read_catalogue_format(settings: Settings) -> CatalogueFormat:
    """The format of CATALOGUE_FORMAT, or our own contract where there is none; raises BadInput for no such file."""
    if settings.catalogue_format is None:
        return CatalogueFormat()
    try:
        return CatalogueFormat.model_validate_json(settings.catalogue_format.read_text())
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise BadInput(f"CATALOGUE_FORMAT must be a JSON file of columns and the like: {error}") from error
