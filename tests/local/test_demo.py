from pathlib import Path

import pytest
from typer.testing import CliRunner

from local.__main__ import app
from local.demo import ITS_OWN
from tasks.errors import BadInput


@pytest.mark.parametrize("name", ITS_OWN)
def test_it_never_writes_over_data_of_your_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ITS_OWN:
        monkeypatch.delenv(other.upper(), raising=False)
    monkeypatch.setenv(name.upper(), str(tmp_path / "mine"))
    ended = CliRunner().invoke(app, ["demo"])
    assert isinstance(ended.exception, BadInput)
    assert f"{name.upper()} is set to {tmp_path / 'mine'}" in str(ended.exception)
    assert "unset" in str(ended.exception)
    assert not (tmp_path / "mine").exists()
