"""An Airflow brought up by the command, for the tests that need one to look at."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from local.__main__ import app
from local.airflow import free_port
from local.airflow_api import AirflowApi
from local.airflow_environment import home_of
from tasks.settings import Settings
from tests.installations import places_in

# DAG files stay as they are while tests look; by default each is parsed again every half minute.
PARSED_ONCE = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600"}


@dataclass(frozen=True)
class Up:
    """Where an Airflow lives, in variables of the environment, and what the command that started it printed."""

    variables: dict[str, str]
    printed: str = ""

    def command(self, *words: str) -> Result:
        """`python -m local` with these words, told where the installation is and nothing of the developer's own."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(Settings.model_config, "env_file", None)
            patch.delenv("DATABASE_URL", raising=False)
            return CliRunner().invoke(app, list(words), env=self.variables)

    @property
    def settings(self) -> Settings:
        return Settings(
            _env_file=None, database_url=None, **{name.lower(): value for name, value in self.variables.items()}
        )

    @property
    def home(self) -> Path:
        return home_of(self.settings)

    @property
    def url(self) -> str:
        """The printed address."""
        address = re.search(r"Airflow is up: (\S+)", self.printed)
        assert address
        return address[1]

    def password_of(self, user: str) -> str:
        """The printed password."""
        password = re.search(rf"^  {user} +(\S+)", self.printed, re.MULTILINE)
        assert password
        return password[1]

    def api(self, user: str) -> AirflowApi:
        return AirflowApi(self.url, user, self.password_of(user), self.home / "logs")


def load_early(home: Path) -> None:
    """What forks tasks in the Airflow of this home loads what they load, once."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(Path(__file__).with_name("early"), home / "config")


@contextmanager
def started(folder: Path, **variables: str) -> Iterator[Up]:
    """Airflow is up, nothing was delivered; none of its processes is left afterwards."""
    down = Up({name.upper(): value for name, value in places_in(folder).items()} | PARSED_ONCE | variables)
    load_early(down.home)
    try:
        printed = down.command("up", "--port", str(free_port()))
        assert printed.exit_code == 0, (printed.output, printed.exception)
        yield Up(down.variables, printed.output)
    finally:
        down.command("down")
