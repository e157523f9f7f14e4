from pathlib import Path

import pytest

from local.private_file import kept_privately


def test_it_is_made_once_and_its_owner_s_alone(tmp_path: Path) -> None:
    made = iter(["first", "second"])
    file = tmp_path / "secret"
    assert [kept_privately(file, lambda: next(made)) for _ in range(2)] == ["first", "first"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_ends_while_it_is_made_leaves_none_that_is_empty(tmp_path: Path) -> None:
    def killed() -> str:
        raise KeyboardInterrupt

    file = tmp_path / "secret"
    with pytest.raises(KeyboardInterrupt):
        kept_privately(file, killed)
    assert not file.exists()
    assert kept_privately(file, lambda: "whole") == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
