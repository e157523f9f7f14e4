"""How a shop writes its catalogue: its names for our columns, and how its files are written."""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Self

from pydantic import model_validator

from tasks.ingest.file_format import FileFormat
from tasks.ingest.presets import Of

REQUIRED = ("product_id", "title")
PARENT = "parent"  # of variants: what those of one product share
COLUMNS = (*REQUIRED, "category", "brand", "in_stock", "blocked", "price", "image_url")


class CatalogueFormat(FileFormat):
    """What differs from our own contract; everything left out is as the contract says.

    parent: a column that the variants of a product share; a variant takes what it lacks from the first of them that has
    it. A column under several of our names is allowed. A category may be a list, which is read as a path, A > B > C; of
    a list of titles, brands or pictures the first counts. Raises pydantic.ValidationError for an unknown column.
    """

    of: ClassVar[Of] = "catalogue"

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if unknown := set(self.columns) - {*COLUMNS, PARENT}:
            raise ValueError(f"columns must be among {', '.join((*COLUMNS, PARENT))}, got {', '.join(sorted(unknown))}")
        return self

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
        return {name: self.sources_of(name) for name in (*COLUMNS, PARENT)}
