import errno
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tasks.errors import BadInput, NotReady
from tasks.stores.artefacts import MARKER, Storage, hash_of, sums_of


@pytest.fixture(params=["folder", "file://", "memory://"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    places = {"folder": str(tmp_path), "file://": f"file://{tmp_path}", "memory://": f"memory://{uuid4().hex}"}
    return Storage(places[request.param])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small tmpfs needs root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def put(storage: Storage, path: str, content: str, **inputs) -> None:
    with storage.write(path, **inputs) as (folder, counts):
        (folder / "part").mkdir()
        (folder / "part" / "content.txt").write_text(content)
        counts["characters"] = len(content)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(512))


def content(storage: Storage, path: str) -> str:
    with storage.open(storage.read(path)) as folder:
        return (folder / "part" / "content.txt").read_text()


def everything_in(storage: Storage) -> list[str]:
    return sorted(path.removeprefix(storage.root).lstrip("/") for path in storage.files.find(storage.root))


def test_what_is_written_is_read(storage: Storage) -> None:
    put(storage, "clicks/date=2017-06-30", "abc", sources={"log.csv": "1234"})
    artefact = storage.read("clicks/date=2017-06-30")
    assert (artefact.path, artefact.counts, artefact.sources) == (
        "clicks/date=2017-06-30", {"characters": 3}, {"log.csv": "1234"},
    )  # fmt: skip
    assert content(storage, "clicks/date=2017-06-30") == "abc"
    assert storage.complete("clicks/date=2017-06-30")


def test_a_rerun_replaces_all_files_and_leaves_no_others(storage: Storage) -> None:
    put(storage, "a", "first")
    with storage.write("a") as (folder, _):
        (folder / "other.txt").write_text("second")
    assert everything_in(storage) == [f"a/{MARKER}", "a/other.txt"]


def test_nothing_to_read_before_the_first_write(storage: Storage) -> None:
    assert not storage.complete("a")
    with pytest.raises(NotReady, match=r"a is not in .* run the step that makes a first"):
        storage.read("a")
    with pytest.raises(NotReady, match=r"run the step that makes clicks/date=2017-06-30, ingest_clicks, first"):
        storage.read("clicks/date=2017-06-30")
    with pytest.raises(NotReady, match=r"nights/night=2017-06-30/ranked/shard=1-of-2, rank_products, first"):
        storage.read("nights/night=2017-06-30/ranked/shard=1-of-2")


def test_a_failed_step_leaves_the_old_artefact_and_no_rest(storage: Storage) -> None:
    put(storage, "a", "old")
    with pytest.raises(BadInput, match="no good"), storage.write("a") as (folder, _):
        (folder / "half.txt").write_text("half")
        raise BadInput("no good")
    assert content(storage, "a") == "old"
    assert everything_in(storage) == [f"a/{MARKER}", "a/part/content.txt"]


def test_a_killed_writer_leaves_nothing_that_is_read_and_the_next_one_clears_it_away(storage: Storage) -> None:
    for rest in ("a.writing-dead", "ab.writing-alive"):
        storage.files.makedirs(f"{storage.root}/{rest}/part")
        storage.files.pipe_file(f"{storage.root}/{rest}/part/content.txt", b"half")
    with pytest.raises(NotReady):
        storage.read("a")
    put(storage, "a", "whole")
    assert everything_in(storage) == [f"a/{MARKER}", "a/part/content.txt", "ab.writing-alive/part/content.txt"]


def test_an_artefact_without_its_marker_is_not_there(storage: Storage) -> None:
    put(storage, "a", "abc")
    storage.files.rm_file(f"{storage.root}/a/{MARKER}")
    with pytest.raises(NotReady):
        storage.read("a")
    put(storage, "a", "again")
    assert content(storage, "a") == "again"


def test_a_stale_artefact_is_refused_until_it_is_made_again(storage: Storage) -> None:
    put(storage, "graph", "1")
    put(storage, "model", "m", made_from=[storage.read("graph")])
    put(storage, "answers", "r", made_from=[storage.read("model")])
    put(storage, "graph", "1")
    assert storage.read("answers").made_from == {"model": storage.read("model").hash}
    put(storage, "graph", "2")
    for path in ("model", "answers"):
        with pytest.raises(BadInput, match=r"model was made from graph .* run the step that makes model again"):
            storage.read(path)


def test_the_input_of_an_artefact_may_not_vanish(storage: Storage) -> None:
    put(storage, "graph", "1")
    put(storage, "model", "m", made_from=[storage.read("graph")])
    storage.files.rm(f"{storage.root}/graph", recursive=True)
    with pytest.raises(NotReady, match="graph is not in"):
        storage.read("model")


def test_changed_sources_are_only_recorded(storage: Storage) -> None:
    put(storage, "clicks", "1")
    put(storage, "pairs", "p", sources={"clicks": storage.read("clicks").hash})
    put(storage, "clicks", "2")
    assert storage.read("pairs").sources != {"clicks": storage.read("clicks").hash}


def test_a_full_disk_leaves_the_old_artefact(small_disk: Path) -> None:
    storage = Storage(str(small_disk))
    put(storage, "a", "old")
    with pytest.raises(NotReady, match=r"No space left on device.*still stands: free space"):
        put(storage, "a", "new" * 200_000)
    assert content(storage, "a") == "old"
    assert everything_in(storage) == [f"a/{MARKER}", "a/part/content.txt"]
    put(storage, "a", "new")
    assert content(storage, "a") == "new"


def test_a_disk_that_fills_just_before_the_marker_leaves_the_old_artefact(small_disk: Path) -> None:
    storage = Storage(str(small_disk))
    put(storage, "a", "old")
    with pytest.raises(NotReady, match="still stands"), storage.write("a") as (folder, _):
        fill(folder / "filler")
    assert content(storage, "a") == "old"


def test_a_failing_disk_says_so_when_the_old_artefact_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(str(tmp_path))
    put(storage, "a", "old")

    def fail(*_args, **_options):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(storage.files, "mv", fail)
    with pytest.raises(NotReady, match="nothing stands there now"):
        put(storage, "a", "new")
    monkeypatch.undo()
    put(storage, "a", "new")
    assert content(storage, "a") == "new"


def test_storage_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("a file where the folder should be")
    with pytest.raises(NotReady, match="restore access"):
        put(Storage(str(tmp_path / "storage")), "a", "new")


def test_the_hash_is_of_names_and_bytes_alone(tmp_path: Path) -> None:
    def hashed(**files: str) -> str:
        folder = tmp_path / uuid4().hex
        for name, text in files.items():
            file = folder / name.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return hash_of(sums_of(folder)[0])

    same = hashed(a="1", b__c="2")
    assert same == hashed(b__c="2", a="1")
    others = [hashed(a="2", b__c="1"), hashed(a="1", b="2"), hashed(a="1"), hashed(a="12", b__c="")]
    assert len({same, *others}) == 5


def test_the_marker_is_not_part_of_the_hash_and_reads_as_json(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    put(storage, "a", "abc", sources={"x": "1"})
    put(storage, "b", "abc", sources={"x": "2"})
    assert storage.read("a").hash == storage.read("b").hash
    assert json.loads((tmp_path / "a" / MARKER).read_text())["counts"] == {"characters": 3}


@pytest.mark.parametrize("changed", ["in place", "shorter", "gone", "another"])
def test_files_that_were_changed_since_are_not_read(storage: Storage, changed: str) -> None:
    put(storage, "a", "abc")
    file = f"{storage.root}/a/part/content.txt"
    if changed == "gone":
        storage.files.rm_file(file)
    elif changed == "another":
        storage.files.pipe_file(f"{storage.root}/a/part/more.txt", b"more")
    else:
        storage.files.pipe_file(file, b"xyz" if changed == "in place" else b"x")
    name = "part/more.txt" if changed == "another" else "part/content.txt"
    with pytest.raises(
        BadInput, match=rf"a must hold the files that it was completed with, but {name} .*makes a again"
    ):
        content(storage, "a")


def test_an_artefact_that_is_replaced_between_its_marker_and_its_files_is_read_again(storage: Storage) -> None:
    put(storage, "a", "abc")
    before = storage.read("a")
    put(storage, "a", "new")
    with pytest.raises(NotReady, match=f"a must stay {before.hash[:12]} while it is read"), storage.open(before):
        pass


def test_an_artefact_of_older_code_is_read_as_it_is(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    put(storage, "a", "abc")
    marker = tmp_path / "a" / MARKER
    marker.write_text(
        json.dumps({name: value for name, value in json.loads(marker.read_text()).items() if name != "checks"})
    )
    assert content(storage, "a") == "abc"
