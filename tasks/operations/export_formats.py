"""The formats of an export: each writes batches of rows, list after list, to one file."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

ROWS = pa.schema(
    {
        "product_id": pa.string(), "rank": pa.int16(), "related_product_id": pa.string(), "related_title": pa.string(),
        "score": pa.float32(), "source": pa.string(),
    }
)  # fmt: skip
KEYS = "recommendations"  # what keys in Redis begin with
LEFT_SECONDS, FORMER_SECONDS = 24 * 3600, 3600  # until keys of a load that was cut off, and of the version before, go

# KEYS: what was loaded, the version's key, the pointers by channel. The three are set at once or not at all.
SWITCH = """local seen = redis.call('HLEN', KEYS[1])
if seen ~= tonumber(ARGV[2]) then
    local expected = 'ERR version ' .. ARGV[1] .. ' must have ' .. ARGV[2] .. ' lists'
    return redis.error_reply(expected .. ', got ' .. seen .. ': load it again')
end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('PERSIST', KEYS[2])
local former = redis.call('HGET', KEYS[3], ARGV[5])
redis.call('HSET', KEYS[3], ARGV[5], ARGV[1])
for _, served in ipairs(redis.call('HVALS', KEYS[3])) do
    if served == former then return ARGV[1] end
end
if former then redis.call('EXPIRE', ARGV[3] .. former, ARGV[4]) end
return ARGV[1]"""


class Exported(NamedTuple):
    """The version that is written, for which channel, and batches of ROWS, list after list."""

    version_id: int
    channel: str
    batches: Iterable[pa.RecordBatch]


def write_parquet(exported: Exported, file: Path) -> None:
    """A row a place, a row group for every batch."""
    with pq.ParquetWriter(file, ROWS, compression="zstd") as writer:
        for batch in exported.batches:
            writer.write_batch(batch)


def write_csv(exported: Exported, file: Path) -> None:
    """A row a place, under a header; quoted as RFC 4180 asks."""
    with csv.CSVWriter(file, ROWS, write_options=csv.WriteOptions(quoting_style="needed")) as writer:
        for batch in exported.batches:
            writer.write_batch(batch)


def write_json_lines(exported: Exported, file: Path) -> None:
    """A line a product: product_id and its list."""
    with file.open("w", encoding="utf-8") as lines:
        for product_id, related in _lists(exported.batches):
            lines.write(_json({"product_id": product_id, "related": related}) + "\n")


def write_redis(exported: Exported, file: Path) -> None:
    """Commands for `redis-cli --pipe`: a hash of the version, product_id -> list as JSON, then the channel's pointer.

    The hash grows under a key of its own, so that whoever reads meanwhile, or after a load that was cut off, sees the
    version before; the last command checks how many lists it holds.
    """
    target, pointer, count = f"{KEYS}:{exported.version_id}", f"{KEYS}:live", 0
    loading = f"{target}:loading"
    with file.open("wb") as commands:
        commands.write(_command("UNLINK", loading))
        for product_id, related in _lists(exported.batches):
            commands.write(_command("HSET", loading, product_id, _json(related)))
            if not count:
                commands.write(_command("EXPIRE", loading, LEFT_SECONDS))
            count += 1
        version = (exported.version_id, count, f"{KEYS}:", FORMER_SECONDS, exported.channel)
        commands.write(_command("EVAL", SWITCH, 3, loading, target, pointer, *version))


WRITERS: dict[str, tuple[str, Callable[[Exported, Path], None]]] = {  # by format: the file's suffix and what writes it
    "parquet": ("parquet", write_parquet),
    "csv": ("csv", write_csv),
    "jsonl": ("jsonl", write_json_lines),
    "redis": ("resp", write_redis),
}


def _lists(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each product with its list."""
    rows = (row for batch in batches for row in _with_short_scores(batch).to_pylist())
    for product_id, listed in groupby(rows, key=lambda row: row["product_id"]):
        yield product_id, [{name: row[name] for name in ROWS.names[1:]} for row in listed]


def _with_short_scores(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Scores of 64 bits that are written in as few digits as those of 32."""
    place = batch.schema.get_field_index("score")
    return batch.set_column(place, "score", batch["score"].cast(pa.string()).cast(pa.float64()))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _command(*words: str | int) -> bytes:
    """A command in Redis' protocol (RESP), which takes any text."""
    texts = [str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(texts), *(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)])
