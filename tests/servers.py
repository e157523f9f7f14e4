"""PostgreSQL servers that a test owns: it may restart them, and put a tablespace on a file system that is too small."""

import os
import shutil
import subprocess
from pathlib import Path

from local import embedded_postgres

DATABASE = "postgres"


def postmaster_pid(state_folder: Path) -> int:
    """The process of the embedded server."""
    return int((state_folder / "postgres" / "postmaster.pid").read_text().split()[0])


class OwnServer:
    """A server of the programs in one folder, its data, log and socket in another one with a short name.

    It may be stopped at once and recovers, but what it holds does not outlive a crash of the machine.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder, self.data = programs, folder, folder / "data"
        self.user = embedded_postgres._server_user()
        self.own(folder)
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://postgres@/{DATABASE}?host={self.folder}"

    def own(self, folder: Path) -> None:
        """PostgreSQL's user is another one where root runs the tests."""
        if self.user:
            shutil.chown(folder, self.user)

    def start(self) -> None:
        options = f"-h '' -k {self.folder} -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", self.data, "-l", self.folder / "log", "-o", options)

    def stop(self) -> None:
        """At once, as when the server is killed: the next start recovers."""
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-D", self.data, "-m", "immediate")

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        with Path(os.devnull).open("w") as nowhere:
            subprocess.run(command, user=self.user, cwd=self.folder, stdout=nowhere, check=True)


def environment_of_s3(url: str) -> dict[str, str]:
    """What any client of S3 reads of a server and its keys."""
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    return {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"} | keys
