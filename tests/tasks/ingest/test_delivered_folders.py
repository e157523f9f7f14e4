"""Folders as writers leave them, and what kind each file is of."""

import gzip
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import BadInput
from tasks.ingest.input_files import DEPTH, delivered_files
from tasks.ingest.kinds import kind_of

LOCAL = fsspec.filesystem("file")


def names_in(folder: Path) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in delivered_files(LOCAL, str(folder), str(folder), DEPTH)]


def test_sub_folders_are_read_and_what_tells_of_files_is_not(tmp_path: Path) -> None:
    told = [
        "_SUCCESS",
        "_started_123",
        ".part-0.crc",
        "part-0.parquet.crc",
        "_temporary/0/part-0",
        "hour=00/_committed_1",
    ]
    read = ["hour=00/part-0.snappy.parquet", "hour=07/a/part-0", "log.csv"]
    for name in (*told, *read):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "hour=08").mkdir()
    assert names_in(tmp_path) == read


def test_links_stay_inside_and_end(tmp_path: Path) -> None:
    (tmp_path / "day" / "hour=00").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "log.csv").touch()
    link = tmp_path / "day" / "hour=00" / "back"
    link.symlink_to(tmp_path / "day")
    with pytest.raises(BadInput, match="must be a file, but is none"):
        names_in(tmp_path / "day")
    link.unlink()
    link.symlink_to(tmp_path / "other")
    with pytest.raises(BadInput, match="leads out of it"):
        names_in(tmp_path / "day")


def parquet() -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), buffer)
    return buffer.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("part-00000-1b2c.c000.snappy.parquet", b"", ".parquet"),
        ("Log.CSV.GZ", b"", ".csv.gz"),
        ("log.tsv", b"", ".csv"),
        ("log.ndjson.zst", b"", ".jsonl.zst"),
        ("part-00000", parquet(), ".parquet"),
        ("events.2017-06-30", b"a,b\n1,2\n", ".csv"),
        ("click-stream-1", b'{"a": 1}{"a": 2}', ".json"),
        ("part-0", b'\xef\xbb\xbf\n [{"a": 1}]', ".json"),
        ("part-0.gz", gzip.compress(b"a\tb\n", mtime=0), ".csv.gz"),
        ("part-0", gzip.compress(b'{"a": 1}\n', mtime=0), ".json.gz"),
        ("part-0", pa.compress(b"a;b\n", "zstd", asbytes=True), ".csv.zst"),
        ("part-0", "a,b\n".encode("utf-16"), ".csv"),
        ("part-0", '{"a": 1}'.encode("utf-16"), ".json"),
        ("part-0", b"", ".csv"),
    ],
)  # fmt: skip
def test_the_kind_of_a_file(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name, name).suffix == kind


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04", "a spreadsheet or a zip archive: save it as CSV"),
        (b"Obj\x01\x04\x14avro.codec", "Avro"),
        (b"SQLite format 3\0", "no text"),
        (b"\x1f\x8bno", ""),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "part-0").write_bytes(content)
    if content.startswith(b"\x1f\x8b"):  # which is told when it is unpacked
        assert kind_of(tmp_path / "part-0", "part-0").suffix == ".csv.gz"
    else:
        with pytest.raises(BadInput, match=rf"part-0 has no known suffix: accepted are \.parquet.*and this is {what}"):
            kind_of(tmp_path / "part-0", "part-0")
