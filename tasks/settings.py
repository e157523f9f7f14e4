"""Where things are: the only reader of the environment."""

import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SOURCE = Path(__file__).parents[1]
IS_CHECKOUT = (_SOURCE / "pyproject.toml").is_file()
ROOT = _SOURCE if IS_CHECKOUT else Path.cwd()  # an installed package keeps nothing beside itself
EXPOSURE_OF_GOAL = {"related": 0.1, "basket": 1.0}  # baskets hold best sellers: without them they are not foreseen


def _from_root(url: str) -> str:
    """Relative paths start at the checkout, whatever folder a worker was started in; without one, at that folder."""
    return url if "://" in url else str(ROOT / url)


def zone_named(zone: str) -> str:
    """The name, where the IANA database has such a zone; raises ValueError for any other."""
    try:
        return ZoneInfo(zone).key
    except (KeyError, ValueError, OSError):
        raise ValueError(f"a time zone must be one of the IANA database, such as Europe/Berlin, got {zone!r}") from None


Url = Annotated[str, AfterValidator(_from_root)]
Zone = Annotated[str, AfterValidator(zone_named)]


class AlertSettings(BaseSettings):
    """Where alerts go; read alone by what sends them, so that an alert of a bad setting goes out too."""

    # Errors go to logs and alerts, and settings are secrets.
    model_config = SettingsConfigDict(
        frozen=True, env_file=ROOT / ".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    alert_webhook_url: str | None = Field(None, description="where failures are posted as JSON with a `text`; a secret")
    alert_email: str | None = Field(None, description="who is mailed of failures, by Airflow's connection smtp_default")
    success_webhook_url: str | None = Field(
        None, description="where each published night is posted as JSON with a `text`; a secret"
    )
    success_email: str | None = Field(None, description="who is mailed of each published night, by smtp_default too")


class Settings(AlertSettings):
    """Places and limits of one installation, from the environment and `.env` (DATABASE_URL, STORAGE_URL, ...).

    Raises pydantic.ValidationError, which names the variable, for a value out of range.
    """

    database_url: str | None = Field(None, description="PostgreSQL server; only `python -m local` can do without")
    state_folder: Path = Field(ROOT / "var", description="embedded PostgreSQL, Airflow's home and logs")
    storage_url: Url = Field(
        "var/storage", validate_default=True, description="cleaned clicks and artefacts (fsspec URL)"
    )
    click_log_url: Url = Field(
        "var/clicks", validate_default=True, description="raw logs, one folder date=YYYY-MM-DD a day"
    )
    log_format: Path | None = Field(None, description="JSON file of LogFormat, for logs with other names or times")
    catalogue_url: Url = Field(
        "var/catalogue.parquet", validate_default=True, description="catalogue file, or a folder with date=YYYY-MM-DD/"
    )
    catalogue_format: Path | None = Field(
        None, description="JSON file of CatalogueFormat, for catalogues with other names"
    )
    eclare_config: Path | None = Field(None, description="JSON file of ECLAREConfig options that differ from a night's")
    text_encoder: str | None = Field(
        None, description="folder or installed package of a sentence encoder that reads titles beside their words"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    train_processes: int = Field(
        1, ge=0, description="processes that train together, each on a GPU of its own; 0: one for each GPU, 1 on a CPU"
    )
    shard_label_table: bool = Field(
        False, description="share the label table out among TRAIN_PROCESSES even where each GPU has the room for it"
    )
    engine: Literal["duckdb", "spark"] = Field("duckdb", description="what computes over clicks")
    memory_limit_gib: float = Field(2.5, ge=0.25, description="memory of the engine; beyond it, it works on disk")

    max_file_rows: int = Field(200_000_000, ge=1, description="rows of a delivered file; one of more is refused")
    max_file_gib: float = Field(64, gt=0, description="size of a delivered file once unpacked; a larger one is refused")
    max_title_characters: int = Field(
        1_000, ge=1, le=100_000, description="of a title, category or brand; a product with a longer one is refused"
    )
    log_time_zone: Zone | None = Field(
        None, description="zone (IANA) at whose midnight the folders of logs are cut; None: UTC, or nobody knows"
    )
    lateness_days: int = Field(2, ge=0, description="how late a click may come and still be counted on its own day")
    max_quarantined_share: float = Field(0.5, ge=0, le=1, description="above it a load is rejected, the former stands")
    max_unlisted_share: float = Field(
        0.95, ge=0, le=1, description="of a file's clicks on products not in the catalogue; above it a load is rejected"
    )
    bot_session_clicks: int = Field(1_000, ge=1, description="sessions with more clicks in a day are refused as bots")
    wholesale_session_products: int = Field(
        500, ge=1, description="sessions with more different products in a day are refused as wholesale"
    )

    session_gap_minutes: float = Field(
        30, gt=0, description="in a log without sessions, events of a user less than that apart are one session"
    )
    lock_minutes: float = Field(15, gt=0, description="how long a step waits for another that it must not meet")

    window_days: int = Field(90, ge=2, description="days of clicks a night looks back on, held-out days included")
    held_out_days: int = Field(7, ge=1, description="last days of the window, kept from training, to evaluate on")
    pair_minutes: int = Field(1440, ge=1, description="clicks of a session further apart make no pair")
    pair_direction: Literal["both", "later"] = Field("both", description="pair both ways, or earlier with later alone")
    max_session_products: int = Field(60, ge=2, description="sessions with more products count for nothing")
    weight_of: dict[str, float] = Field(
        {"view": 1.0, "add_to_cart": 1.0, "purchase": 1.0}, description="what a session counts by its type of click"
    )
    min_support: int = Field(2, ge=1, description="sessions that must share a pair before it counts")
    half_life_days: float = Field(45.0, gt=0, description="age at which a click weighs half")
    max_related: int = Field(100, ge=1, description="heaviest related products kept per query product for training")
    goal: Literal["related", "basket"] = Field(
        "related", description="what lists aim at: what goes with a product, or what baskets with it hold most often"
    )
    top_k: int = Field(20, ge=1, le=1000, description="related products published per product")

    max_same_category: int = Field(0, ge=0, description="related products of one category in a list; 0: no limit")
    diversity: float = Field(0.0, ge=0, le=1, description="what a list gives up in score to be less alike; 0: nothing")
    max_variants: int = Field(
        3, ge=0, description="related products of a list that are the same but for size or colour; 0: no limit"
    )
    max_exposure: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of the pages that shoppers visit that may show one product in their first 10; None: "
        + ", ".join(f"{limit:g} of GOAL {goal}" for goal, limit in EXPOSURE_OF_GOAL.items()),
    )
    fill_with_popular: bool = Field(
        False, description="whether what sells everywhere fills up lists that are still short"
    )

    recommend_shards: int = Field(
        1, ge=1, le=1000, description="parts that a night's products are ranked in, side by side where workers are free"
    )
    explained_ranks: int = Field(5, ge=0, description="first ranks of every list that are published with their reasons")

    gate_config: Path | None = Field(None, description="JSON file of thresholds, rule by rule; None: the defaults")
    list_places: int = Field(
        10, ge=1, description="first places of a list that the shop's page shows: what click rates by rank count"
    )
    keep_versions: int = Field(
        60, ge=2, le=100, description="newest versions whose rows are kept; queries of views lock a partition of each"
    )
    keep_days: int = Field(120, ge=1, description="age at which the rows of a version are dropped")

    max_live_age_hours: float = Field(26, gt=0, description="age of the live version at which an alert goes out")
    max_data_age_hours: float = Field(
        50, gt=0, description="hours since the live version's last day of clicks ended, at which an alert goes out"
    )
    image_hosts: str | None = Field(
        None,
        pattern=r"^(https?://)?[\w.*-]+(:\d+)?( +(https?://)?[\w.*-]+(:\d+)?)*$",
        description="hosts whose pictures the page may load, with blanks between; None: no picture",
    )
    metrics_token: str | None = Field(None, description="what Prometheus must show to read figures; None: refused")
    lists_token: str | None = Field(
        None, description="what servers show to read lists as JSON; None: only who may look"
    )

    @property
    def exposure_limit(self) -> float:
        """MAX_EXPOSURE or, where it is not set, what suits the GOAL; 1 is no limit."""
        return EXPOSURE_OF_GOAL[self.goal] if self.max_exposure is None else self.max_exposure

    @model_validator(mode="after")
    def _window_holds_training_days(self) -> Self:
        if self.held_out_days >= self.window_days:
            raise ValueError(
                f"HELD_OUT_DAYS must be less than WINDOW_DAYS, or no day is left to train on: "
                f"got {self.held_out_days} of {self.window_days}"
            )
        return self


@cache
def code_version() -> str:
    """The commit of a checkout as it was when first asked, else the version of the installed package."""
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    with suppress(FileNotFoundError, subprocess.CalledProcessError):  # an image has neither git nor a checkout
        if IS_CHECKOUT:
            return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    try:
        return version("eclare-nightly")
    except PackageNotFoundError:
        return "unknown"
