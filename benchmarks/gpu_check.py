"""One command for a bare host with a GPU and no network: is what it computes right, how fast, and does it wait?

Needs Python, torch, numpy, scipy and numba; what else is missing leaves out the part that needs it, and is named.
"""

import argparse
import gc
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

Figures = dict[str, Any]
WANTED = ("faiss", "safetensors", "tqdm", "pynvml", "pytest", "pandas", "pyarrow", "typer", "rich")
IN_JSON_ALONE = ("part_s", "peak_gib", "steps", "s_a_step", "steps_an_epoch", "loss_first", "loss_last", "labels")
LEAST_SECONDS = 10  # that a part is begun with


class TooLate(Exception):
    """The minutes are over."""


@dataclass
class Check:
    """What every part gets. scale: of every shape, 1 for the real ones; ends_at: of all parts together."""

    device: Any
    scale: float
    ends_at: float
    wrong: list[str] = field(default_factory=list)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is one."""
        return bool(self.device.type == "cuda")

    def seconds_left(self) -> float:
        """Until all parts must have ended."""
        return self.ends_at - time.monotonic()

    def scaled(self, count: int, least: int = 64) -> int:
        """A size at this scale."""
        return max(least, int(count * self.scale))

    def within(self, name: str, value: float, limit: float) -> float:
        """A figure that must not be larger."""
        if not value <= limit:  # so that NaN is wrong
            self.wrong.append(f"{name} is {value:.3g}, at most {limit:g} is right")
        return value


def main() -> int:
    """Run the parts one after the other; 1 where a result is wrong or a part failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu tries the command itself")
    parser.add_argument("--scale", type=float, default=1.0, help="of every shape; with --device cpu take 0.01")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all parts; what no longer fits is named")
    parser.add_argument("--parts", default="", help="names with commas between them; without it, all")
    chosen = parser.parse_args()
    try:
        import torch

        from benchmarks import gpu_parts
    except ImportError as error:
        print(f"gpu-check needs torch, numpy, scipy and numba: {error}", file=sys.stderr)
        return 1
    if chosen.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU here; --device cpu --scale 0.01 tries the command itself", file=sys.stderr)
        return 1
    torch.set_float32_matmul_precision("highest")
    check = Check(torch.device(chosen.device), chosen.scale, time.monotonic() + 60 * chosen.minutes)
    names = chosen.parts.split(",") if chosen.parts else list(gpu_parts.PARTS)
    unknown = [name for name in names if name not in gpu_parts.PARTS]
    if unknown:
        parser.error(f"--parts {','.join(unknown)}: there are {', '.join(gpu_parts.PARTS)}")
    outcomes = {name: outcome_of(gpu_parts.PARTS[name], check) for name in names}
    missing = [name for name in WANTED if not is_there(name)]
    print(table(outcomes, missing, check.wrong))
    failed = [name for name, outcome in outcomes.items() if "failed" in outcome]
    figures = {"right": not check.wrong and not failed, "wrong": check.wrong, "missing": missing}
    print(json.dumps({**figures, "device": chosen.device, "scale": chosen.scale, "parts": outcomes}))
    return int(not figures["right"])


def is_there(module: str) -> bool:
    """Whether it can be imported; one that is blocked by None in sys.modules cannot."""
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:
        return False


def outcome_of(part: Callable[[Check], Iterator[Figures]], check: Check) -> Figures:
    """The figures of a part with its seconds and memory, as far as it came, and why it came no further."""
    figures: Figures = {}
    start = time.perf_counter()
    try:
        with at_most(check.seconds_left()):
            _reset_peak(check)
            for more in part(check):
                figures |= more
    except TooLate:
        figures["stopped"] = "the minutes are over"
    except ImportError as error:
        figures["skipped"] = str(error)
    except Exception as error:
        figures["failed"] = f"{type(error).__name__}: {error}"
    figures["peak_gib"] = _peak_gib(check)
    figures["part_s"] = time.perf_counter() - start
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TooLate where it takes longer."""

    def stop(_: int, __: FrameType | None) -> None:
        raise TooLate

    if seconds < LEAST_SECONDS:
        raise TooLate
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _reset_peak(check: Check) -> None:
    import torch

    gc.collect()
    if check.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_gib(check: Check) -> float:
    """Of the GPU in this part; on a CPU, of the process so far."""
    import resource

    import torch

    if check.on_gpu:
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def table(outcomes: dict[str, Figures], missing: list[str], wrong: list[str]) -> str:
    """A line a part with its first figures, and what was left out and why."""
    lines = []
    for name, figures in outcomes.items():
        told = [f"{key} {value}" for key, value in figures.items() if not key.endswith(IN_JSON_ALONE)]
        lines.append(f"{name:12} {figures['part_s']:7.1f} s {figures['peak_gib']:7.2f} GiB  {'; '.join(told)}")
    lines.append(f"missing on this host: {', '.join(missing) or 'nothing'}")
    lines.extend(f"WRONG: {each}" for each in wrong)
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(main())
