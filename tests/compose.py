"""docker-compose.yml as docker-compose reads it, with .env.example filled in."""

import json
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from tasks.settings import ROOT

COMPOSE_FILE = ROOT / "docker-compose.yml"
BINARIES = Path(sys.executable).parent


def compose(env_file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(BINARIES / "docker-compose"), "-f", str(COMPOSE_FILE), "--env-file", str(env_file)]
    # Nothing of the developer's environment: it would win over the file.
    return subprocess.run([*command, *words], env={}, capture_output=True, text=True, check=False)


def filled_in(folder: Path, **values: str) -> Path:
    """.env.example with a secret for every value that is left empty there."""
    text = (ROOT / ".env.example").read_text()
    text = re.sub(r"^(\w+)=$", lambda empty: f"{empty[1]}={secrets.token_hex(8)}", text, flags=re.MULTILINE)
    file = folder / "filled.env"
    file.write_text(text + "".join(f"\n{name}={value}" for name, value in values.items()))
    return file


def configuration(env_file: Path) -> dict[str, Any]:
    """All that docker-compose would start, with every variable replaced."""
    config = compose(env_file, "config", "--format", "json")
    assert config.returncode == 0, config.stderr
    return dict(json.loads(config.stdout))


def services(env_file: Path) -> dict[str, dict[str, Any]]:
    """Its services by name."""
    return dict(configuration(env_file)["services"])
