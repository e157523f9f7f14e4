"""The rows of a text file, block by block: a record that a block does not end goes on with the next."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from tasks.ingest.lines import Block, joined, with_last
from tasks.ingest.parsed_file import ParsedFile, RowBatch, Rows


class BlockRows(ABC):
    """Reads the rows of one file; carry: the record at the end of a block that goes on in the next, if one does."""

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed, self.batch = parsed, RowBatch(parsed)
        self.carry: Block | None = None

    def rows(self, blocks: Iterator[Block]) -> Iterator[Rows]:
        """All rows."""
        for block, is_last in with_last(blocks):
            whole = joined(self.carry, block)
            if whole is None and self.carry is not None:
                yield from self.rows_of(self.carry, is_last=True)
            yield from self.rows_of(whole or block, is_last=is_last)

    @abstractmethod
    def rows_of(self, block: Block, *, is_last: bool) -> Iterator[Rows]:
        """The rows of a block, which sets carry; is_last: nothing follows that a record could go on in."""
