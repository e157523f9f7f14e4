"""Rows of text from blocks of nested Parquet, column by column: the same that `RowMaker` makes record by record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingest.file_format import FileFormat
from tasks.ingest.nested import EVENT_ID, MAX_SHARED, as_text, shortened
from tasks.ingest.parsed_file import MAX_CHARACTERS, REST, Numbers, Rows

Keys: TypeAlias = tuple[str, ...]
Fields: TypeAlias = Mapping[str, pa.DataType]
Columns: TypeAlias = Mapping[str, pa.Array]


class ByRecordError(Exception):
    """What lies under a name is said by values, not by types: JSON in text, lists of key and value, bytes, paths."""


class Place(NamedTuple):
    """Where a value lies: under some keys of a record or, `of_item`, of an item; none: it is the item."""

    of_item: bool
    keys: Keys


class NestedBlocks:
    """Makes the rows of a file block by block; raises ByRecordError for one that must be read record by record."""

    def __init__(self, fields: Fields, file_format: FileFormat) -> None:
        self._items = file_format.items if file_format.items in fields else None
        item = _item_type(fields[self._items]) if self._items else pa.null()
        in_item = _fields_of(item) if pa.types.is_struct(item) else {}
        if any(map(_holds_bytes, (*fields.values(), item))) or (file_format.items and not self._items):
            raise ByRecordError
        self._places: dict[str, list[Place]] = {}
        for name, sources in file_format.sources.items():
            found = (_place(theirs, fields, self._items, item) for theirs in sources)
            self._places[name] = [place for place in found if place]
        first_names = {sources[0] for sources in file_format.sources.values()}
        self._others = sorted(fields.keys() - first_names)
        self._item_others = [name for name in sorted(in_item) if f"{self._items}.{name}" not in first_names]
        self._numbers_ids = bool(self._items) and not any(place.of_item for place in self._places.get(EVENT_ID, ()))

    def sizes(self, columns: Columns) -> Numbers:
        """How many items each record of a block has."""
        if not self._items:
            return np.zeros(len(next(iter(columns.values()))), np.int64)
        lengths: Numbers = pc.fill_null(pc.list_value_length(columns[self._items]), 0).to_numpy().astype(np.int64)
        return lengths

    def rows_of(self, columns: Columns, lines: Numbers) -> Iterator[Rows]:
        """The rows of a block, a part at a time that is no larger than MAX_CHARACTERS, but for a record that is."""
        sizes, items = self.sizes(columns), columns[self._items].flatten() if self._items else None
        own = {place for places in self._places.values() for place in places if not place.of_item}
        texts = {place: texts_of(_at(columns, place.keys), is_top=len(place.keys) == 1) for place in own}
        shared = self._shared(columns, sizes)
        characters = sum(map(_lengths, (shared, *texts.values())), np.zeros(len(lines), np.int64))
        for first, end in _parts(np.maximum(sizes, 1) * (characters + 1)):
            part = _unrolled(sizes, first, end)
            own_of_part = {place: column.take(part.records) for place, column in texts.items()}
            items_of_part = items.take(part.items) if items is not None else None
            rows = self._ours(own_of_part, items_of_part, part)
            rows[REST] = self._rest(shared.take(part.records), items_of_part)
            yield rows, lines[part.records]

    def _ours(self, own: Mapping[Place, pa.Array], items: pa.Array | None, part: "Unrolled") -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for name, places in self._places.items():
            found = [texts_of(_at_item(items, place.keys)) if place.of_item else own[place] for place in places]
            text = pc.coalesce(*map(_without_blank, found)) if found else pa.nulls(len(part.records), pa.string())
            if (_lengths(text) > MAX_SHARED).any():  # a text that is so long is no id anyway
                text = pc.if_else(part.has_others, pc.utf8_slice_codeunits(text, 0, MAX_SHARED + 1), text)
            if name == EVENT_ID and self._numbers_ids:
                numbered = pc.binary_join_element_wise(text, part.numbers.cast(pa.string()), "#")
                text = pc.if_else(pc.greater(part.numbers, 1), numbered, text)
            rows[name] = text
        return rows

    def _shared(self, columns: Columns, sizes: Numbers) -> pa.Array:
        """What all rows of a record have of the columns that are none of ours."""
        texts = {name: texts_of(columns[name], is_top=True) for name in self._others if name != self._items}
        if self._items in self._others:  # a list without items is a value as any other
            is_empty = pc.and_(columns[self._items].is_valid(), pa.array(sizes == 0))
            texts[str(self._items)] = pc.if_else(is_empty, "[]", None)
        shared = _named(dict(sorted(texts.items())), len(sizes))
        is_long = (sizes > 1) & (_lengths(shared) > MAX_SHARED)
        return _changed(shared, is_long, shortened) if is_long.any() else shared

    def _rest(self, shared: pa.Array, items: pa.Array | None) -> pa.Array:
        if items is None or not self._item_others:
            return shared
        texts = {f"{self._items}.{name}": texts_of(_at_item(items, (name,))) for name in self._item_others}
        return _joined([shared, _named(texts, len(shared))])


class Unrolled(NamedTuple):
    """The rows of some records: the record of each, its item (null: it has none), the item's number in its record."""

    records: Numbers
    items: pa.Array
    numbers: pa.Array
    has_others: pa.Array


def _unrolled(sizes: Numbers, first: int, end: int) -> Unrolled:
    """The rows of the records from `first` on and before `end`, one an item, and one where there is none."""
    before, sizes = sizes[:first].sum(), sizes[first:end]
    counts = np.maximum(sizes, 1)
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    items = before + np.repeat(sizes.cumsum() - sizes, counts) + within
    records = np.repeat(np.arange(first, end), counts)
    return Unrolled(
        records,
        pa.array(items, mask=np.repeat(sizes == 0, counts)),
        pa.array(within + 1),
        pa.array(np.repeat(sizes > 1, counts)),
    )


def _parts(characters: Numbers) -> Iterator[tuple[int, int]]:
    """Ranges of records that together have no more characters than may be in memory, or are one record."""
    first, total = 0, 0
    for place, size in enumerate(characters.tolist()):
        if place > first and total + size > MAX_CHARACTERS:
            yield first, place
            first, total = place, 0
        total += size
    if first < len(characters):
        yield first, len(characters)


def _place(theirs: str, fields: Fields, items: str | None, item: pa.DataType) -> Place | None:
    """Where the value under a name lies; None where nothing does."""
    if not items or not f"{theirs}.".startswith(f"{items}."):
        keys = _keys(theirs, fields)
        return Place(of_item=False, keys=keys) if keys else None
    within = theirs[len(items) + 1 :]
    if pa.types.is_struct(item) and within:
        keys = _keys(within, _fields_of(item))
        return Place(of_item=True, keys=keys) if keys else None
    if not _is_single(item) or (within and _is_text(item)):
        raise ByRecordError
    return None if within else Place(of_item=True, keys=())


def _keys(path: str, fields: Fields) -> Keys | None:
    """The keys that a dotted name means, as `value_at` looks for them; None where nothing lies under it."""
    if path in fields:
        if not _is_single(fields[path]):
            raise ByRecordError
        return (path,)
    for dot in (place for place, letter in enumerate(path) if letter == "."):
        if (dtype := fields.get(path[:dot])) is not None:
            if pa.types.is_struct(dtype):
                keys = _keys(path[dot + 1 :], _fields_of(dtype))
                return (path[:dot], *keys) if keys else None
            if not _is_single(dtype) or _is_text(dtype):
                raise ByRecordError
            return None
    return None


def _fields_of(struct: pa.StructType) -> dict[str, pa.DataType]:
    fields = {field.name: field.type for field in struct}
    if len(fields) < struct.num_fields:
        raise ByRecordError
    return fields


def _item_type(dtype: pa.DataType) -> pa.DataType:
    if not (pa.types.is_list(dtype) or pa.types.is_large_list(dtype)):
        raise ByRecordError
    return dtype.value_type


def _is_text(dtype: pa.DataType) -> bool:
    types = pa.types
    return any(is_so(dtype) for is_so in (types.is_string, types.is_large_string, types.is_string_view))


def _is_single(dtype: pa.DataType) -> bool:
    """Whether values of a type are one text, number, time or flag each."""
    types = pa.types
    of_numbers = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    return _is_text(dtype) or any(
        is_so(dtype) for is_so in (*of_numbers, types.is_timestamp, types.is_date, types.is_time)
    )


def _holds_bytes(dtype: pa.DataType) -> bool:
    """Whether a value of a type may be bytes that are no text, which refuses its record, or of a kind unknown here."""
    if pa.types.is_nested(dtype):
        return pa.types.is_union(dtype) or any(_holds_bytes(dtype.field(n).type) for n in range(dtype.num_fields))
    return not _is_single(dtype)


def _at(columns: Columns, keys: Keys) -> pa.Array:
    return _at_item(columns[keys[0]], keys[1:])


def _at_item(values: pa.Array, keys: Keys) -> pa.Array:
    for key in keys:
        values = pc.struct_field(values, [values.type.get_field_index(key)])
    return values


def texts_of(column: pa.Array, *, is_top: bool = False) -> pa.Array:
    """Values as text, each different one once; is_top: of a column of the file itself, whose times are its own."""
    dtype = column.type
    if _is_text(dtype) and _is_utf_8(column):
        return column.cast(pa.string())
    if any(is_so(dtype) for is_so in (pa.types.is_integer, pa.types.is_boolean, pa.types.is_null)):
        return column.cast(pa.string())
    if pa.types.is_list(dtype) and not len(column.flatten()):  # as GA4's item_params almost always
        return pc.if_else(column.is_valid(), "[]", None)
    if not _is_single(dtype) or _is_text(dtype):
        return pa.array([*map(as_text, values_of(column))], pa.string())
    different = column.dictionary_encode()
    values = values_of(different.dictionary, is_top=is_top)
    return pa.array([*map(as_text, values)], pa.string()).take(different.indices)


def _is_utf_8(column: pa.Array) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def values_of(column: pa.Array, *, is_top: bool = False) -> list[Any]:
    """Values as Python has them, None where it has none; of a column of the file itself, times and decimals as text."""
    if is_top and pa.types.is_decimal(column.type):  # as input_files.as_text has them
        return pc.replace_substring_regex(pc.cast(column, pa.string()), r"\.0+$", "").to_pylist()  # type: ignore[no-any-return]
    if is_top and pa.types.is_temporal(column.type):  # Python's end with the year 9999
        return pc.cast(column, pa.string()).to_pylist()  # type: ignore[no-any-return]
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return None


def _without_blank(texts: pa.Array) -> pa.Array:
    is_blank = pc.or_(pc.equal(texts, ""), pc.utf8_is_space(texts))
    return pc.if_else(is_blank, None, texts)


def _lengths(texts: pa.Array) -> Numbers:
    """Characters of each text."""
    lengths: Numbers = pc.fill_null(pc.utf8_length(texts), 0).to_numpy().astype(np.int64)
    return lengths


def _named(texts: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """Columns as name=value in one text; those without a value are left out."""
    named = [
        pc.if_else(pc.equal(column, ""), None, pc.binary_join_element_wise(f"{name}=", column, ""))
        for name, column in texts.items()
    ]
    return _joined(named) if named else pa.nulls(rows, pa.string())


def _joined(texts: Sequence[pa.Array]) -> pa.Array:
    """Texts with a semicolon between those that are there."""
    parts = [pc.fill_null(pc.binary_join_element_wise("; ", text, ""), "") for text in texts]
    joined = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*parts, ""), len("; "))  # to skip nulls loses rows
    return pc.if_else(pc.equal(joined, ""), None, joined)


def _changed(texts: pa.Array, which: npt.NDArray[np.bool_], change: Callable[[str], str]) -> pa.Array:
    values = [change(text) if is_one else text for text, is_one in zip(texts.to_pylist(), which.tolist(), strict=True)]
    return pa.array(values, pa.string())
