"""Text as whole lines, some mebibytes at a time, and what is wrong with a line whatever is written in it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.ingest.parsed_file import Numbers
from tasks.ingest.unreadable import UnreadableLines

MAX_LINE_BYTES = 1 << 20  # of a line, and of a record that goes over several
MAX_RECORD_LINES = 1_000
NEWLINE, RETURN, QUOTE = b'\n\r"'
NOT_TEXT, HOLDS_RETURN = "not UTF-8", "holds a carriage return"

Flags = npt.NDArray[np.bool_]


class Block(NamedTuple):
    """Whole lines, the last one's end among them; the number of the first, and 0 for `step` where all are of one."""

    content: bytes
    first: int
    step: int = 1


class Lines:
    """The lines of a block: where each begins and ends."""

    def __init__(self, block: Block) -> None:
        self.block, self.data = block, np.frombuffer(block.content, np.uint8)
        self.ends = np.flatnonzero(self.data == NEWLINE)
        self.starts = np.concatenate([[0], self.ends[:-1] + 1])

    def __len__(self) -> int:
        return len(self.ends)

    def numbers(self) -> Numbers:
        """The number of each line in the file."""
        return self.block.first + self.block.step * np.arange(len(self.ends))

    def count(self, where: Flags) -> Numbers:
        """How many of a line's bytes are so."""
        return np.add.reduceat(where, self.starts, dtype=np.int64)

    def blank(self) -> Flags:
        """Lines that are their end alone."""
        found: Flags = (self.ends - self.starts) - (self.data[np.maximum(self.ends - 1, 0)] == RETURN) <= 0
        return found

    def faults(self) -> dict[str, Flags]:
        """Why -> the lines of which it holds."""
        content, data, starts, ends = self.block.content, self.data, self.starts, self.ends
        found = {too_long(): ends - starts > MAX_LINE_BYTES}
        if b"\0" in content:
            found["holds a zero byte"] = self.count(data == 0) > 0
        if b"\r" in content:
            at_end = (data[np.maximum(ends - 1, 0)] == RETURN) & (ends > starts)
            found[HOLDS_RETURN] = self.count(data == RETURN) > at_end
        try:
            content.decode()
        except UnicodeDecodeError:
            not_text = self.count(data >= 128) > 0  # the rest is ASCII
            not_text[not_text] = [_is_no_text(content[starts[i] : ends[i]]) for i in np.flatnonzero(not_text)]
            found[NOT_TEXT] = not_text
        return found


class Records(NamedTuple):
    """The records of a block, each a line or several: where they lie, the number of their first line, what is wrong."""

    content: bytes
    starts: Numbers
    ends: Numbers
    numbers: Numbers
    faults: dict[str, Flags]
    blank: Flags

    @classmethod
    def of(cls, lines: Lines) -> "Records":
        """Each line by itself."""
        return cls(lines.block.content, lines.starts, lines.ends, lines.numbers(), lines.faults(), lines.blank())


def too_long() -> str:
    """Why a line is unreadable that has more bytes than one may have."""
    return f"longer than {MAX_LINE_BYTES:,} bytes"


def blocks_of(
    chunks: Iterator[bytes], unreadable: UnreadableLines, parted: Callable[[bytes], tuple[bytes, bytes]] | None = None
) -> Iterator[Block]:
    """Whole lines; a line that is too long is unreadable and left out.

    parted: takes what may be many records without a line end between them, and gives those that are whole, a line each,
    and what is left.
    """
    line = 1  # the number of the line that `carry` begins, or that is being skipped
    carry, is_skipping = b"", False
    for chunk in chunks:
        if is_skipping:
            _, end, chunk = chunk.partition(b"\n")
            if not end:
                continue
            line, is_skipping = line + 1, False
        lines, end, carry = (carry + chunk).rpartition(b"\n")
        if end:
            yield from _with_parted(Block(lines + end, line), parted)
            line += lines.count(b"\n") + 1
        if parted and len(carry) > MAX_LINE_BYTES:
            whole, carry = parted(carry)
            if whole:
                yield Block(whole, line, step=0)
        if len(carry) > MAX_LINE_BYTES:
            unreadable.add(line, too_long(), carry)
            carry, is_skipping = b"", True
    if carry:
        yield from _with_parted(Block(carry + b"\n", line), parted)


def _with_parted(block: Block, parted: Callable[[bytes], tuple[bytes, bytes]] | None) -> Iterator[Block]:
    """A block, cut where a line is so long that it may hold many records."""
    if parted is None or len(block.content) <= MAX_LINE_BYTES:
        yield block
        return
    lines, done = Lines(block), 0
    for i in np.flatnonzero(lines.ends - lines.starts > MAX_LINE_BYTES):
        number, start, end = block.first + int(i), int(lines.starts[i]), int(lines.ends[i]) + 1
        if start > done:
            yield Block(block.content[done:start], number - block.content.count(b"\n", done, start))
        whole, left = parted(block.content[start : end - 1])
        for content in filter(None, (whole, left and left + b"\n")):
            yield Block(content, number, step=0)
        done = end
    if done < len(block.content):
        yield Block(block.content[done:], block.first + block.content.count(b"\n", 0, done))


class Readable(NamedTuple):
    """Records one behind the other, with the number and the bytes of each, its line end among them."""

    content: bytes
    numbers: Numbers
    sizes: Numbers


def readable(records: Records, unreadable: UnreadableLines) -> Readable:
    """What is left of a block without blank records and such that cannot be read."""
    content, starts, ends, numbers, faults, blank = records
    bad, whys, why = blank.copy(), list(faults), np.full(len(ends), -1, np.int8)
    for place, has_fault in enumerate(faults.values()):
        why[has_fault & ~bad] = place
        bad |= has_fault
    for i in np.flatnonzero(why >= 0):
        unreadable.add(int(numbers[i]), whys[why[i]], content[starts[i] : ends[i]])
    if bad.any():
        content = b"".join(content[starts[i] : ends[i] + 1] for i in np.flatnonzero(~bad))
    return Readable(content, numbers[~bad], (ends + 1 - starts)[~bad])


def with_last(blocks: Iterator[Block]) -> Iterator[tuple[Block, bool]]:
    """Blocks, and whether each is the last."""
    before = next(blocks, None)
    for block in blocks:
        if before is not None:
            yield before, False
        before = block
    if before is not None:
        yield before, True


def joined(carry: Block | None, block: Block) -> Block | None:
    """What is left of a block with the next one; None where a line that was left out lies between them."""
    if carry is None:
        return block
    if carry.step and carry.first + carry.content.count(b"\n") != block.first:
        return None
    return Block(carry.content + block.content, carry.first)


def _is_no_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False
