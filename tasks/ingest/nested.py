"""Rows of text from values that may be nested: names with dots, lists of key and value, lists of items."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from tasks.ingest.file_format import FileFormat

Texts: TypeAlias = list[str | None]

# Numbers stay as they are written.
DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None)
EVENT_ID = "event_id"
TEXT = {str, type(None)}
MAX_ITEMS, MAX_SHARED = 10_000, 4096  # of a record, and characters of a text that each of its items repeats
PATH_SIGN = " > "  # between the categories of a path


class RowMaker:
    """Makes rows of text, our columns and all others as one text, of the records of files of a format."""

    def __init__(self, file_format: FileFormat) -> None:
        self._sources, self._items, self._lists = file_format.sources, file_format.items, file_format.lists
        self._plain = [names[0] for names in self._sources.values()] if file_format.is_plain else None
        self._first_names = {names[0] for names in self._sources.values()}
        names = {name for sources in self._sources.values() for name in sources}
        self._within_item = {name: self._of_item(name) for name in names}
        event_ids = self._sources.get(EVENT_ID, ())
        of_items = any(self._within_item[name] is not None for name in event_ids)
        self._numbers_ids = bool(event_ids) and self._items is not None and not of_items
        self._place_of_id = list(self._sources).index(EVENT_ID) if event_ids else 0

    def rows_of(self, record: object) -> list[Texts]:
        """The rows of a record: one, or one an item.

        Raises ValueError, saying why, for what is no object, for one that is nested too deeply, and for a list or an
        object where one of our columns has to be.
        """
        if not isinstance(record, dict):
            raise ValueError("no JSON object")
        try:
            return [self._plain_row(record)] if self._plain is not None else list(self._nested_rows(record))
        except RecursionError:
            raise ValueError("JSON that is nested too deeply") from None

    def _plain_row(self, record: Mapping[str, Any]) -> Texts:
        texts = [*map(record.get, self._plain or ())]
        if not TEXT.issuperset(map(type, texts)):
            texts = [*map(self._text, self._sources, self._plain or (), texts)]
        return [*texts, _rest(record, self._first_names)]

    def _nested_rows(self, record: Mapping[str, Any]) -> Iterator[Texts]:
        items, others = [None], record
        if self._items is not None:
            found = _decoded(value_at(record, self._items))
            if found:
                items, others = found if isinstance(found, list) else [found], _without(record, self._items)
        if len(items) > MAX_ITEMS:
            raise ValueError(f"{self._items} holds {len(items):,} items, more than {MAX_ITEMS:,}")
        shared = _rest(others, self._first_names)
        if shared and len(items) > 1 and len(shared) > MAX_SHARED:
            shared = shortened(shared)
        of_record = {name: value_at(record, name) for name, within in self._within_item.items() if within is None}
        for number, item in enumerate(items, 1):
            texts = [self._first(of_record, item, name) for name in self._sources]
            if len(items) > 1:
                texts = [text and text[: MAX_SHARED + 1] for text in texts]  # a text that is so long is no id anyway
            if self._numbers_ids and number > 1:
                id_ = texts[self._place_of_id]
                texts[self._place_of_id] = id_ and f"{id_}#{number}"
            rest = [shared]
            if isinstance(item, dict):
                rest.append(_rest({f"{self._items}.{name}": value for name, value in item.items()}, self._first_names))
            yield [*texts, "; ".join(filter(None, rest)) or None]

    def _first(self, of_record: Mapping[str, Any], item: object, name: str) -> str | None:
        """The first of several columns that is not blank."""
        for theirs in self._sources[name]:
            within = self._within_item[theirs]
            value = of_record[theirs] if within is None else value_at(item, within) if within else item
            text = self._text(name, theirs, value)
            if text and not text.isspace():
                return text
        return None

    def _text(self, name: str, theirs: str, value: object) -> str | None:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, list) and name in self._lists:
            texts = [_of_type(part) for part in value if part is not None and not isinstance(part, (dict, list))]
            return PATH_SIGN.join(filter(None, texts)) if name == "category" else next(iter(texts), None)
        if isinstance(value, (dict, list)):
            kind = "a list" if isinstance(value, list) else "an object"
            raise ValueError(
                f'{theirs} holds {kind}, no single value: name a field of it with a dot, a list as "items"'
            )
        return _of_type(value)

    def _of_item(self, name: str) -> str | None:
        """What a name says within an item: nothing where it is the item itself, None where it is none of an item."""
        if self._items is None or not f"{name}.".startswith(f"{self._items}."):
            return None
        return name[len(self._items) + 1 :]


def value_at(value: object, path: str) -> Any:
    """What lies under a dotted name; None where nothing does. JSON text is read where the name leads into it."""
    value = _decoded(value)
    if isinstance(value, dict):
        if path in value:
            return value[path]
        for dot in (place for place, letter in enumerate(path) if letter == "."):
            if path[:dot] in value:
                return value_at(value[path[:dot]], path[dot + 1 :])
        return None
    return _of_pairs(value, path) if isinstance(value, list) else None


def _of_pairs(pairs: list[Any], path: str) -> Any:
    """The value under a key of a list of {key, value}; of any other list, a list of what lies there in each."""
    if not all(isinstance(pair, dict) and "key" in pair for pair in pairs):
        return [value_at(part, path) for part in pairs]
    for pair in pairs:
        key, value = pair["key"], pair.get("value")
        if key == path:
            return _of_some_type(value)
        if isinstance(key, str) and path.startswith(f"{key}."):
            return value_at(value, path[len(key) + 1 :])
    return None


def _of_some_type(value: Any) -> Any:
    """GA4 has a field a type, {string_value, int_value, ...}, of which one is filled."""
    if isinstance(value, dict) and value and all(str(name).endswith("_value") for name in value):
        return next((typed for typed in value.values() if typed is not None), None)
    return value


def _decoded(value: object) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return DECODER.decode(value.strip())
        except (json.JSONDecodeError, RecursionError):
            return None
    return value


def _without(record: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """A record without what lies under a dotted name: every item would repeat all items."""
    if path in record:
        return {name: value for name, value in record.items() if name != path}
    for dot in (place for place, letter in enumerate(path) if letter == "."):
        inner = _decoded(record.get(path[:dot]))
        if isinstance(inner, dict):
            return {**record, path[:dot]: _without(inner, path[dot + 1 :])}
    return record


def shortened(shared: str) -> str:
    """A text that many items repeat, by its beginning and its MD5."""
    md5 = hashlib.md5(shared.encode(errors="replace"), usedforsecurity=False).hexdigest()
    return f"{shared[: MAX_SHARED // 2]}... MD5 {md5}"


def _of_type(value: object) -> str | None:
    """The text of a single value; raises ValueError for bytes that are none."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return _of_bytes(value) if isinstance(value, bytes) else str(value)


def _of_bytes(value: bytes) -> str:
    """Text, as Hive and Impala write it, or, where 16 bytes are none, a UUID."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if (len(value) == 16 and not text.isprintable()) or (value and not text):
        if len(value) == 16:
            return str(UUID(bytes=value))
        raise ValueError("bytes that are not UTF-8")
    return text


def _rest(record: Mapping[str, Any], ours: set[str]) -> str | None:
    """All other columns as name=value, those without a value left out."""
    others = [(name, as_text(record[name])) for name in sorted(record.keys() - ours)]
    return "; ".join([f"{name}={text}" for name, text in others if text]) or None


def as_text(value: object) -> str | None:
    """Any value as text, nested ones as JSON; raises ValueError for bytes that are none."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else _of_type(value)
