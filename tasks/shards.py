"""Which part of a catalogue a task ranks."""

import re
from typing import NamedTuple

from tasks.errors import BadInput
from tasks.settings import Settings


class Shard(NamedTuple):
    """One of several ranges of a catalogue's products that tasks may rank beside one another; number: from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard that `str` writes; raises BadInput for anything else."""
        found = re.fullmatch(r"(\d{1,6})-of-(\d{1,6})", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.of:
            raise BadInput(f"a shard is written NUMBER-of-SHARDS, counted from 1, got {text!r}: write 2-of-4, say")
        return shard

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


def shards_of(settings: Settings) -> list[Shard]:
    """All RECOMMEND_SHARDS of them."""
    return [Shard(number, settings.recommend_shards) for number in range(1, settings.recommend_shards + 1)]
