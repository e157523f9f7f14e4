"""Secrets of this machine, each in a file that its owner alone may read."""

from collections.abc import Callable
from pathlib import Path


def kept_privately(file: Path, make: Callable[[], str]) -> str:
    """What the file holds, made where it is missing: the whole of it or, after a kill, nothing."""
    if not file.exists():
        part = file.with_name(f"{file.name}.part")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        part.write_text(make())
        part.replace(file)
    return file.read_text()
