import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from tasks.settings import ROOT, Settings, code_version


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower() in Settings.model_fields]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


def test_without_an_environment_everything_stays_in_the_checkout() -> None:
    settings = Settings()
    assert settings.database_url is None
    assert settings.storage_url == str(ROOT / "var/storage")
    assert settings.click_log_url == str(ROOT / "var/clicks")
    assert settings.catalogue_url == str(ROOT / "var/catalogue.parquet")


def test_the_environment_is_read_and_empty_values_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_URL", "s3://bucket/eclare")
    monkeypatch.setenv("WINDOW_DAYS", "30")
    monkeypatch.setenv("DATABASE_URL", "")
    settings = Settings()
    assert (settings.storage_url, settings.window_days, settings.database_url) == ("s3://bucket/eclare", 30, None)


def test_relative_folders_start_at_the_checkout_and_absolute_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_URL", "elsewhere")
    monkeypatch.setenv("CLICK_LOG_URL", "/logs")
    assert Settings().storage_url == str(ROOT / "elsewhere")
    assert Settings().click_log_url == "/logs"


def test_a_file_of_settings_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TOP_K=5\nMIN_SUPPORT=3\nOF_ANOTHER_PROGRAM=1\n")
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    monkeypatch.setenv("MIN_SUPPORT", "4")
    settings = Settings()
    assert (settings.top_k, settings.min_support) == (5, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WINDOW_DAYS", "1"),
        ("TOP_K", "0"),
        ("TRAIN_PROCESSES", "-1"),
        ("MIN_SUPPORT", "zero"),
        ("HALF_LIFE_DAYS", "0"),
        ("DEVICE", "tpu"),
        ("MAX_VARIANTS", "-1"),
        ("KEEP_VERSIONS", "101"),
        ("MAX_EXPOSURE", "4"),
        ("FILL_WITH_POPULAR", "some"),
        ("IMAGE_HOSTS", "img.example; script-src *"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_the_limit_of_exposure_is_the_goal_s_where_none_is_set() -> None:
    assert [Settings(_env_file=None, goal=goal).exposure_limit for goal in ("related", "basket")] == [0.1, 1]
    assert Settings(_env_file=None, goal="basket", max_exposure=0.2).exposure_limit == 0.2


def test_a_window_of_held_out_days_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDOW_DAYS", "7")
    monkeypatch.setenv("HELD_OUT_DAYS", "7")
    with pytest.raises(ValidationError, match=r"HELD_OUT_DAYS must be less than WINDOW_DAYS.*got 7 of 7"):
        Settings()


@pytest.mark.parametrize("bad", [{"HELD_OUT_DAYS": "90"}, {"TOP_K": "sesame"}, {"WEIGHT_OF": "sesame"}])
def test_no_error_shows_a_secret(bad: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ({"DATABASE_URL": "postgresql://u:sesame@host/x", "METRICS_TOKEN": "sesame"} | bad).items():
        monkeypatch.setenv(name, value)
    with pytest.raises((ValidationError, SettingsError), match=f"(?i){next(iter(bad))}") as refusal:
        Settings(_env_file=None)
    assert "sesame" not in str(refusal.value)


def test_settings_do_not_change_once_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().top_k = 3  # type: ignore[misc]


def commit(name: str) -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", f"{name}^{{commit}}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def test_the_code_version_names_the_commit() -> None:
    if not commit("HEAD"):
        pytest.skip("not a git checkout")
    assert commit(code_version().removesuffix("-dirty")) == commit("HEAD")


def test_settings_load_neither_torch_nor_a_database() -> None:
    heavy = "import sys, tasks.settings; print(sorted({'torch', 'sqlalchemy', 'duckdb'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", heavy], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
