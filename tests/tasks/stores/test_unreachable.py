"""Files that cannot be reached are told in our words, whatever library says so."""

import os
from pathlib import Path

import pytest

from tasks.errors import BadInput, NotReady
from tasks.run import run
from tasks.settings import Settings


def test_an_object_store_that_does_not_let_in_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    s3fs.S3FileSystem.clear_instance_cache()  # another test's knows another server
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    away = settings.model_copy(update={"storage_url": "s3://away/storage"})
    with pytest.raises(NotReady, match=r"readable and writable, got NoCredentialsError: .*restore access"):
        run("aggregate_clicks", "2017-06-30", away)


def test_a_disk_that_cannot_be_read_is_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("tasks.stores.artefacts.Storage.complete", broken)
    with pytest.raises(NotReady, match=r"readable and writable, got OSError: \[Errno 5\] Input/output error; restore"):
        run("aggregate_clicks", "2017-06-30", settings)


def test_a_place_of_an_unknown_kind_is_refused(settings: Settings) -> None:
    unknown = settings.model_copy(update={"storage_url": "floppy://a/storage"})
    with pytest.raises(BadInput, match=r"such as s3://bucket/path, got floppy:// \(Protocol not known: floppy\)"):
        run("aggregate_clicks", "2017-06-30", unknown)
