"""What a container engine does, by chroot: the context, a Dockerfile's instructions in order, processes of the image.

Of the base image there is nothing but its promise: a Debian with an empty Python. The machine's own takes its place,
with a virtual environment that finds what the running one has, so that `pip install` checks a lock and loads nothing.
"""

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from docker.utils.build import exclude_paths
from numba.core.caching import UserWideCacheLocator

# The machine's folders that stand for the base image's.
READ_ONLY = ["/usr", sys.base_prefix, str(Path(sys.prefix).resolve())]
OF_THE_KERNEL = ["/proc", "/dev"]
OF_ETC = ["ld.so.cache", "login.defs", "nsswitch.conf"]
PYTHON = "/python"
# Commands of packages stay where the running environment has them.
BASE_ENVIRONMENT = {"PATH": f"{PYTHON}/bin:{READ_ONLY[-1]}/bin:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"}
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_ROOT_USER_ACTION": "ignore"}  # what is not there is not fetched

Ended = subprocess.CompletedProcess[str]


class Instruction(NamedTuple):
    """A line of a Dockerfile, with those that continue it: RUN and what to run."""

    word: str
    arguments: str


def instructions(dockerfile: Path, target: str) -> list[Instruction]:
    """Of one target, those of the targets that it starts from first."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, list[Instruction]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, arguments = line.split(maxsplit=1)
        if word == "FROM":
            base, _, name = arguments.split()
            stages[name] = [*stages.get(base, [])]
        else:
            stages[name].append(Instruction(word, arguments))
    return stages[target]


def context(folder: Path) -> list[Path]:
    """The files that the folder's .dockerignore lets an engine see, relative to the folder."""
    patterns = [line for line in (folder / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    # The package sends these two to the engine whatever the patterns say; no COPY finds them.
    seen = exclude_paths(str(folder), patterns) - {"Dockerfile", ".dockerignore"}
    return [Path(path) for path in sorted(seen) if (folder / path).is_file()]


def may_build() -> bool:
    """Whether this process may mount folders where it alone sees them, and so make another one its root."""
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


class Image:
    """A tree of folders, and what the instructions said of the processes in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment, self.user, self.folder = dict(BASE_ENVIRONMENT), "root", "/"

    @classmethod
    def build(cls, source: Path, target: str, root: Path) -> "Image":
        """Make the base image's tree in `root`, then do what the Dockerfile of `source` says.

        Raises RuntimeError, with what was said, for an instruction that fails.
        """
        image = cls(root)
        image._make_base()
        for word, arguments in instructions(source / "Dockerfile", target):
            if word == "ENV":
                image.environment |= dict(setting.split("=", 1) for setting in shlex.split(arguments))
            elif word == "WORKDIR":
                image.folder = arguments
                image._inside(arguments).mkdir(parents=True, exist_ok=True)
            elif word == "USER":
                image.user = arguments
            elif word == "COPY":
                image._copy(source, *arguments.split())
            elif word == "RUN":
                ended = image.run(["/bin/sh", "-c", arguments], OFFLINE)
                if ended.returncode:
                    raise RuntimeError(f"RUN {arguments} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
            elif word != "ARG":  # of ours none has a value unless one is given
                raise NotImplementedError(f"{word} {arguments}")
        return image

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] = {}, mounted: Mapping[str, Path] = {}
    ) -> Ended:
        """Run a command in the image as its user; mounted, read-only: from a path in the image to the machine's."""
        user, group, home = self._who()
        variables = self.environment | {"HOME": home} | dict(environment)
        as_user = [] if user == "0" else ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        as_user += ["--no-new-privs", "--bounding-set=-all"] if as_user else []
        inside = ["env", "-i", f"--chdir={self.folder}", *(f"{name}={value}" for name, value in variables.items())]
        return subprocess.run(
            ["unshare", "--mount", "sh", "-euc", self._mounts(mounted), "sh", *as_user, *inside, *command],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def _mounts(self, mounted: Mapping[str, Path]) -> str:
        """A script for a namespace of its own, whose mounts end with its last process."""
        lines = [shlex.join(["mount", "--rbind", path, str(self._inside(path))]) for path in OF_THE_KERNEL]
        for target, source in [*zip(READ_ONLY, READ_ONLY, strict=True), *mounted.items()]:
            place = self._inside(target)
            place.mkdir(parents=True, exist_ok=True)
            lines.append(shlex.join(["mount", "--bind", "-o", "ro", str(source), str(place)]))
        return "\n".join([*lines, f'exec chroot {shlex.quote(str(self.root))} "$@"'])

    def take_kernels(self, source: Path) -> None:
        """What numba has compiled for a checkout, put where the image's user would have it compiled: a minute."""
        cache = self._inside(self._who()[2]) / ".cache" / "numba"
        for file in source.glob("eclare/**/__pycache__/*.nb[ci]"):
            module = Path(self.folder, file.parent.parent.relative_to(source), "module.py")
            folder = cache / UserWideCacheLocator.get_suitable_cache_subpath(str(module))
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, folder)
        for made in [cache.parent, cache, *cache.rglob("*")]:
            shutil.chown(made, *map(int, self._who()[:2]))

    def _make_base(self) -> None:
        for path in [*READ_ONLY, *OF_THE_KERNEL, "/etc", "/tmp", "/root", "/var/lib", "/home"]:  # noqa: S108
            self._inside(path).mkdir(parents=True, exist_ok=True)
        for folder in [self.root, *self.root.rglob("*")]:
            folder.chmod(0o755)
        self._inside("/tmp").chmod(0o1777)  # noqa: S108
        for link in ("bin", "sbin", "lib", "lib64"):
            (self.root / link).symlink_to(f"usr/{link}")
        for name in OF_ETC:
            shutil.copy(Path("/etc", name), self.root / "etc")
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (self.root / "etc/group").write_text("root:x:0:\n")
        self._make_python()

    def _make_python(self) -> None:
        """An environment with no package of its own; `running.pth` names those of the running one."""
        python = self._inside(PYTHON)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", python], check=True)
        paths = {"base": str(python), "platbase": str(python)}
        running = Path(sysconfig.get_path("purelib")).resolve()
        (Path(sysconfig.get_path("purelib", vars=paths)) / "running.pth").write_text(str(running))
        (python / "bin/pip").write_text('#!/bin/sh\nexec python -m pip "$@"\n')
        (python / "bin/pip").chmod(0o755)

    def _copy(self, source: Path, *arguments: str) -> None:
        *patterns, target = arguments
        folder = self._inside(self.folder) / target
        for pattern in patterns:
            found = [path for path in context(source) if pattern == "." or fnmatch(str(path), pattern)]
            if not found:
                raise RuntimeError(f"COPY {pattern}: no file of the context is called so")
            for path in found:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / path, folder / path)

    def _inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _who(self) -> tuple[str, str, str]:
        for line in self._inside("/etc/passwd").read_text().splitlines():
            name, _, user, group, _, home, _ = line.split(":")
            if self.user in (name, user):
                return user, group, home
        raise RuntimeError(f"USER {self.user}: /etc/passwd of the image does not know it")
