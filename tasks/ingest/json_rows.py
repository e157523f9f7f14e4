"""JSON as rows of text: an object a line, objects glued together or over several lines, or elements of an array."""

import json
import re
from collections.abc import Iterator
from itertools import chain

from tasks.ingest.block_rows import BlockRows
from tasks.ingest.json_array import BLANK, elements
from tasks.ingest.lines import MAX_LINE_BYTES, MAX_RECORD_LINES, Block, Lines, Records, blocks_of, readable, too_long
from tasks.ingest.nested import DECODER
from tasks.ingest.parsed_file import ParsedFile, RowBatch, Rows
from tasks.ingest.unreadable import SHOWN_BYTES

BATCH_BYTES = 4 << 20
MAX_TRIES = 10_000  # of a file, to go on where a value does not end with its line
NO_JSON = "no JSON"
NEXT_OBJECT = re.compile(r"\}[ \t]*(?=\{)")  # where one object may end and the next begin, without a line end


def json_rows(chunks: Iterator[bytes], parsed: ParsedFile, *, is_lines: bool) -> Iterator[Rows]:
    """The rows of JSON; is_lines: it is no array, whatever it begins with."""
    first = next(chunks, b"")
    chunks = chain([first], chunks)
    if first.lstrip().startswith(b"[") and not is_lines:
        return _array_rows(chunks, parsed)
    return JsonRows(parsed).rows(blocks_of(chunks, parsed.unreadable, glued_objects))


def glued_objects(text: bytes) -> tuple[bytes, bytes]:
    """A line for each whole object at the beginning of a text without line ends, and what is left.

    An object that cannot be read ends where }{ follows; nothing is left of one that has no such end within bounds.
    """
    decoded, place, pieces = text.decode(errors="surrogateescape"), 0, list[str]()
    while place < len(decoded):
        try:
            _, end = DECODER.raw_decode(decoded, _after_blanks(decoded, place))
        except (json.JSONDecodeError, RecursionError):
            if len(decoded) - place <= MAX_LINE_BYTES or not (found := NEXT_OBJECT.search(decoded, place)):
                break
            end = found.end()
        pieces.append(decoded[place:end] + "\n")
        place = end
    return ("".join(pieces).encode(errors="surrogateescape"), decoded[place:].encode(errors="surrogateescape"))


class JsonRows(BlockRows):
    """Reads the objects of one file, block by block: most are a line, which is tried first."""

    tries = 0

    def rows_of(self, block: Block, *, is_last: bool) -> Iterator[Rows]:
        """The objects of a block that are whole."""
        self.carry = None
        left = readable(Records.of(Lines(block)), self.parsed.unreadable)
        lines, numbers = left.content.decode().split("\n"), left.numbers.tolist()
        i = 0
        while i < len(numbers):
            try:
                record = DECODER.decode(lines[i].strip())
            except (json.JSONDecodeError, RecursionError):
                i = self._read_from(i, lines, numbers, is_last=is_last)
            else:
                self._add(numbers[i], record, lines[i])
                i += 1
            if self.batch.is_full:
                yield self.batch.take()
        yield self.batch.take()

    def _add(self, number: int, record: object, text: str) -> None:
        self.batch.add(number, record, text)
        self.parsed.add_columns_of(record)

    def _read_from(self, i: int, lines: list[str], numbers: list[int], *, is_last: bool) -> int:
        """Read values, glued together or over several lines, up to where one ends with its line; the line after it.

        What is no value is unreadable up to the next }{ of its line, or, where it goes on after the line, up to the
        next line that begins with {.
        """
        line, place = lines[i].rstrip(), _after_blanks(lines[i], 0)
        if place >= len(line):
            self.parsed.unreadable.add(numbers[i], NO_JSON, lines[i])
        while place < len(line):
            number, begins = numbers[i], place
            try:
                record, place = DECODER.raw_decode(line, begins)
                if not isinstance(record, dict):  # numbers and texts are not told apart without a line end
                    place = self._after_unreadable(number, line, begins)
                    continue
            except (json.JSONDecodeError, RecursionError) as error:
                if getattr(error, "pos", 0) < len(line) or line[begins] != "{":
                    place = self._after_unreadable(number, line, begins)
                    continue
                after = _lines_together(i, numbers)
                whole = "\n".join([line[begins:], *lines[i + 1 : after]])
                record, place, is_open = self._over_lines(whole)
                if is_open and not is_last and after == len(numbers) and _may_go_on(whole, after - i):
                    self.carry = Block(f"{whole}\n".encode(), number)
                    return after
                if record is None:
                    self.parsed.unreadable.add(number, NO_JSON, line[begins:])
                    return self._next_object(i, after, lines)
                i += whole.count("\n", 0, place)
                line, place, begins = lines[i].rstrip(), place - (whole.rfind("\n", 0, place) + 1), 0
            self._add(number, record, line[begins : begins + SHOWN_BYTES])
            place = _after_blanks(line, place)
        return i + 1

    def _over_lines(self, whole: str) -> tuple[object, int, bool]:
        """The object at the beginning, None where there is none, where it ends, and whether it may go on."""
        if self.tries >= MAX_TRIES or len(whole) > MAX_LINE_BYTES:
            return None, 0, False
        try:
            return *DECODER.raw_decode(whole), False
        except (json.JSONDecodeError, RecursionError) as error:
            self.tries += 1
            return None, 0, getattr(error, "pos", 0) >= len(whole.rstrip())

    def _after_unreadable(self, number: int, line: str, place: int) -> int:
        """Where the line goes on after an object that cannot be read."""
        found = NEXT_OBJECT.search(line, place)
        end = found.end() if found else len(line)
        self.parsed.unreadable.add(number, NO_JSON, line[place : min(end, place + SHOWN_BYTES)])
        return end

    def _next_object(self, i: int, after: int, lines: list[str]) -> int:
        indent = len(lines[i]) - len(lines[i].lstrip())
        begins = (place for place in range(i + 1, after) if lines[place][: indent + 1] == lines[i][: indent + 1])
        return next(begins, after)


def _after_blanks(text: str, place: int) -> int:
    return BLANK.match(text, place).end()  # type: ignore[union-attr]


def _lines_together(i: int, numbers: list[int]) -> int:
    """The line after those that follow line i without one left out."""
    after = i + 1
    while after < len(numbers) and after - i < MAX_RECORD_LINES and numbers[after] == numbers[after - 1] + 1:
        after += 1
    return after


def _may_go_on(whole: str, lines: int) -> bool:
    return lines < MAX_RECORD_LINES and len(whole) < MAX_LINE_BYTES


def _array_rows(chunks: Iterator[bytes], parsed: ParsedFile) -> Iterator[Rows]:
    """The place of an element in the array is its line."""
    batch, size = RowBatch(parsed), 0
    for number, element in enumerate(elements(chunks), 1):
        if element.size > MAX_LINE_BYTES:
            parsed.unreadable.add(number, too_long(), element.beginning)
        else:
            batch.add(number, element.value, element.beginning)
            parsed.add_columns_of(element.value)
        size += element.size
        if size >= BATCH_BYTES or batch.is_full:
            yield batch.take()
            size = 0
    yield batch.take()
