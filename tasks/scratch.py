"""Temporary files of a step: all below one folder, which the next step on this machine takes away after a kill."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch() -> Iterator[Path]:
    """Let everything that asks `tempfile` for a place get one below a folder of this process, gone on leaving.

    Folders of processes that have died, of the same user, are removed first: each is locked by its process for as long
    as that lives. Within the block of a caller it is that one's folder.
    """
    outer = tempfile.tempdir
    if outer is not None and Path(outer).name.startswith(_prefix()):
        yield Path(outer)
        return
    folder, lock = _locked_folder(Path(tempfile.gettempdir()))
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = outer
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _prefix() -> str:
    return f"eclare-step-{os.getuid()}-"


def _locked_folder(parent: Path) -> tuple[Path, int]:
    guard = os.open(parent / f"{_prefix()}lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)  # a folder that was just made is not locked yet
        for left in parent.glob(f"{_prefix()}*/"):
            _remove_where_nobody_lives(left)
        folder = Path(tempfile.mkdtemp(prefix=_prefix(), dir=parent))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(guard)
    return folder, lock


def _remove_where_nobody_lives(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
