"""Nights of several sizes beside one another: what a product costs, and whose lists are best."""

import json
from pathlib import Path

import pytest
import typer

from benchmarks.night_sizes import BUT_TRAINING, TRAINING, drawn, figures_of, main, read

COSTS = {
    "ingest_clicks": {"seconds": 4, "peak_gib": 0.5},
    "build_interactions": {"seconds": 16, "peak_gib": 1.0},
    TRAINING: {"seconds": 100, "peak_gib": 2.0},
}


def night(products: int, **other: object) -> dict[str, object]:
    made = {"products": products, "events_a_day": 20 * products}
    return {"made": made, "days": 10, "epochs": 2, "peak_gib": 2.0, "steps": COSTS} | other


@pytest.fixture
def file(tmp_path: Path) -> Path:
    values = {"eclare": 30, "co-click": 25, "cosine": 28, "eclare without model": 29}
    systems = {
        name: {metric: [value, 0, 0] for metric in ("P", "nDCG", "PSP", "lift")} for name, value in values.items()
    }
    systems |= {f"eclare / {name}": {} for name in list(values)[1:]}
    systems["cosine"]["P"] = [20, 0, 0]
    lines = [night(100_000, steps={"ingest_clicks": COSTS["ingest_clicks"]}), {"night": "of groceries"}]
    lines.append(night(10_000, metrics_at_10={"all": systems}))
    made = tmp_path / "runs.jsonl"
    made.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return made


def test_a_night_has_its_cost_a_product_and_the_best_rival_of_each_metric(file) -> None:
    small, large = map(figures_of, read(file))
    assert small["milliseconds a product"] == {TRAINING: 10.0, BUT_TRAINING: 2.0}
    assert small["P"] == [30, 25, "co-click"]
    assert small["lift"] == [30, 28, "cosine"]
    assert large == {"milliseconds a product": {}, "peak_gib": 2.0}


def test_the_picture_has_a_line_a_step_in_units(file) -> None:
    time, memory = drawn(read(file)).axes
    lines = {line.get_label(): line for line in time.lines}
    assert set(lines) == {*COSTS, BUT_TRAINING}
    assert lines["ingest_clicks"].get_xydata().tolist() == [[10_000, 0.4], [100_000, 0.04]]
    assert len(memory.lines) == len(COSTS)
    assert (time.get_xscale(), time.get_yscale(), memory.get_yscale()) == ("log",) * 3
    assert "milliseconds" in time.get_ylabel() and "GiB" in memory.get_ylabel()


def test_the_command_writes_the_picture_and_a_line(file, tmp_path, capsys) -> None:
    main(file, tmp_path / "sizes.png")
    assert (tmp_path / "sizes.png").stat().st_size > 10_000
    assert list(json.loads(capsys.readouterr().out)) == ["10,000", "100,000"]


def test_lines_of_other_nights_are_refused(tmp_path) -> None:
    (tmp_path / "runs.jsonl").write_text('{"night": "of groceries"}\n')
    with pytest.raises(typer.BadParameter, match="--made"):
        read(tmp_path / "runs.jsonl")
    with pytest.raises(typer.BadParameter, match=r"\.svg"):
        main(tmp_path / "runs.jsonl", tmp_path / "sizes.txt")
