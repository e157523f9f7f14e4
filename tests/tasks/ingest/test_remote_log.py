"""A log on a real S3 server: moto's, on loopback."""

import gzip
import io
from datetime import date
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.operations.erase import erase
from tasks.operations.out_of_reach import out_of_reach
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate_clicks
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.stores.artefacts import Storage
from tests.servers import environment_of_s3
from tests.tasks.steps.test_ingest_clicks import as_csv, as_json_lines, as_parquet, click, stored

pytestmark = pytest.mark.slow

DAY = date(2017, 6, 30)


@pytest.fixture
def bucket(s3_server: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Log and storage in one bucket; the server and its keys come from the environment, as for any client of S3."""
    for name, value in environment_of_s3(s3_server).items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    files = fsspec.filesystem("s3")
    if files.exists("shop"):
        files.rm("shop", recursive=True)
    files.mkdir("shop")
    return settings.model_copy(update={"click_log_url": "s3://shop/logs", "storage_url": "s3://shop/storage"})


def deliver(name: str, content: bytes) -> None:
    fsspec.filesystem("s3").pipe_file(f"shop/logs/date={DAY}/{name}", content)


def ingest(settings: Settings) -> dict[str, float]:
    return ingest_clicks(Night.of(DAY, settings), settings)


def test_a_day_in_many_files_comes_from_s3_and_goes_to_s3(bucket: Settings) -> None:
    deliver("a.csv.gz", gzip.compress(as_csv([click()])))
    deliver("b.parquet", as_parquet([click(product_id="p2"), click(product_id="p2")]))
    deliver("c.jsonl", as_json_lines([click(product_id="p3"), click(product_id="p4", event_type="hover")]))
    counts = ingest(bucket)
    assert (counts["files"], counts["rows_read"], counts["accepted"]) == (3, 5, 3)
    assert [row["product_id"] for row in stored(bucket)] == ["p1", "p2", "p3"]
    assert aggregate_clicks(Night.of(DAY, bucket), bucket)["pairs"] == 3
    names = fsspec.filesystem("s3").find("shop/storage/aggregates")
    assert {name.rpartition("/")[2] for name in names} == {
        *("COMPLETE.json", "products.parquet", "together.parquet", "followed.parquet")
    }
    ingest(bucket)
    assert len(Storage(bucket.storage_url).days("clicks")) == 1


def test_a_day_that_is_not_there_and_one_that_cannot_be_read(bucket: Settings) -> None:
    with pytest.raises(NotReady, match=r"no folder shop/logs/date=2017-06-30"):
        ingest(bucket)
    deliver("a.parquet", b"PAR1 and nothing more")
    with pytest.raises(BadInput, match=r"date=2017-06-30/a.parquet does not read as .parquet"):
        ingest(bucket)


def test_a_file_that_changes_while_it_is_read(bucket: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver("a.csv", as_csv([click()]))
    from tasks.steps import ingest_clicks as step

    write = step.write_quarantine

    def write_while_more_arrives(*args: object) -> dict[str, int]:
        deliver("a.csv", as_csv([click(), click(product_id="p2")]))
        return write(*args)

    monkeypatch.setattr(step, "write_quarantine", write_while_more_arrives)
    with pytest.raises(NotReady, match=r"date=2017-06-30/a.csv must stay as it is while it is read, but it changed"):
        ingest(bucket)
    assert not Storage(bucket.storage_url).complete(Night.clicks(DAY))


def test_names_that_lead_out_of_the_folder(bucket: Settings) -> None:
    """S3 takes any text as a key; none of them may become a path here."""
    deliver("%2e%2e%2f*.csv", as_csv([click()]))
    deliver("[a-z]?.csv", as_csv([click(product_id="p2")]))
    assert ingest(bucket)["accepted"] == 2
    deliver("../../../etc/evil.csv", as_csv([click()]))
    with pytest.raises(BadInput, match=r"date=2017-06-30/\.\. must lie in .*, but leads out of it"):
        ingest(bucket)
    assert [row["product_id"] for row in stored(bucket)] == ["p1", "p2"]
    assert not Path("/etc/evil.csv").exists()


def test_a_user_is_erased_from_every_object(bucket: Settings) -> None:
    """Also from halves of days that killed writers left, which an object store has no folders for."""
    user, files = "urn:user:4711", fsspec.filesystem("s3")
    deliver("a.csv", f"event_time,session_id,product_id,user_id\n{DAY},s,a,{user}\n{DAY},s,b,\n{DAY},t,c,x\n".encode())
    ingest(bucket)
    aggregate_clicks(Night.of(DAY, bucket), bucket)
    (part,) = files.glob(f"shop/storage/clicks/date={DAY}/clicks/*")
    for half in ("2017-06-28", "2017-06-28.writing-0badcafe", f"{DAY}.writing-0badcafe"):
        files.copy(part, f"shop/storage/clicks/date={half}/clicks/part-0.parquet")
    erasure = erase(user, "asked", bucket)
    assert erasure.counts == {"days": 1, "clicks": 2, "quarantined": 0}
    assert erasure.incomplete == [date(2017, 6, 28)]
    stored = {path: files.cat_file(path) for path in files.find("shop/storage")}
    assert not [path for path in stored if "2017-06-28" in path or "writing" in path]
    rows = [
        str(pq.read_table(io.BytesIO(content)).to_pylist()) for path, content in stored.items() if path.endswith("t")
    ]
    assert rows and not [text for text in rows if user in text or "'b'" in text]
    assert "list-object-versions --bucket shop --prefix storage/clicks/" in str(out_of_reach(user, bucket))
