"""What a process costs is its own: neither what its parent holds nor what a process beside it does."""

import os

import pytest
import typer

from benchmarks.processes import cost_of

HOLDS = "import time; held = bytearray(200 << 20); time.sleep(0.2)"


def test_the_peak_is_that_of_the_process_or_of_one_that_it_waits_for() -> None:
    ours = bytearray(400 << 20)
    nothing, alone = cost_of(["-c", "pass"], os.environ), cost_of(["-c", HOLDS], os.environ)
    nested = cost_of(["-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDS!r}])"], os.environ)
    assert ours and nothing.peak_gib < 0.05
    assert alone.peak_gib == pytest.approx(0.2, abs=0.03)
    assert nested.peak_gib == pytest.approx(alone.peak_gib, abs=0.03)
    assert 0.2 < alone.seconds < 20


def test_a_process_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(typer.Exit):
        cost_of(["-c", "raise SystemExit(3)"], os.environ)
