"""The elements of one JSON array, decoded as they come."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tasks.errors import BadInput
from tasks.ingest.nested import DECODER
from tasks.ingest.unreadable import SHOWN_BYTES

MAX_ELEMENT = 1 << 24  # characters of an array's element that is still told from the rest of the array
BLANK = re.compile(r"[ \t\n\r]*")


class Element(NamedTuple):
    """An element of an array: how many characters it takes, and how it begins."""

    value: Any
    size: int
    beginning: str


def elements(chunks: Iterable[bytes]) -> Iterator[Element]:
    """The elements of one array; in memory are one and what was read with it.

    Raises BadInput, the rest of a sentence about the file, where it goes on as no array does.
    """
    content = _Content(chunks)
    content.take("[")
    if content.peek() == "]":
        content.take("]")
    else:
        yield content.value()
        while content.take(",]") == ",":
            yield content.value()
    if content.peek():
        raise content.fault("something follows the array")


class _Content:
    """Text that is read as far as it is needed; `place` is where it goes on."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._decoder = iter(chunks), codecs.getincrementaldecoder("utf-8")()
        self._text, self._place, self._line, self._ended = "", 0, 1, False

    def peek(self) -> str:
        """The next character that is no blank; nothing at the end."""
        while True:
            self._place = BLANK.match(self._text, self._place).end()  # type: ignore[union-attr]
            if self._place < len(self._text) or not self._read_on():
                return self._text[self._place : self._place + 1]

    def take(self, expected: str) -> str:
        """The next character that is no blank, one of those expected."""
        found = self.peek()
        if not found or found not in expected:
            raise self.fault(f"{' or '.join(expected)} must follow, got {found or 'the end'}")
        self._place += 1
        return found

    def value(self) -> Element:
        """The next value."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                if len(self._text) - self._place < MAX_ELEMENT and self._read_on():
                    continue
                raise self.fault(error.msg, error.pos) from error
            except RecursionError as error:
                raise self.fault(str(error)) from error
            if end == len(self._text) and self._read_on():  # a number may go on
                continue
            start, self._place = self._place, end
            return Element(value, end - start, self._text[start : min(end, start + SHOWN_BYTES)])

    def fault(self, why: str, place: int | None = None) -> BadInput:
        """What to raise for content that cannot be read at a place."""
        line = self._line + self._text.count("\n", 0, self._place if place is None else place)
        return BadInput(f"does not read as JSON, line {line}: {why}; write the file again")

    def _read_on(self) -> bool:
        """Whether there was more to read; what was taken is let go."""
        if self._ended:
            return False
        chunk = next(self._chunks, None)
        self._ended = chunk is None
        try:
            more = self._decoder.decode(chunk or b"", self._ended)
        except UnicodeDecodeError as error:
            raise self.fault(str(error), len(self._text)) from error
        self._line += self._text.count("\n", 0, self._place)
        self._text, self._place = self._text[self._place :] + more, 0
        return not self._ended or bool(more)
