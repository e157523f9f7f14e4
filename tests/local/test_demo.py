from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from local.__main__ import app
from local.demo import ITS_OWN, WHAT_IS, samples_table
from tasks.errors import BadInput
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import select, transaction
from tests.nights import RELATED, make_night, with_lenient_gate


@pytest.mark.parametrize("name", ITS_OWN)
def test_it_never_writes_over_data_of_your_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ITS_OWN:
        monkeypatch.delenv(other.upper(), raising=False)
    monkeypatch.setenv(name.upper(), str(tmp_path / "mine"))
    ended = CliRunner().invoke(app, ["demo"])
    assert isinstance(ended.exception, BadInput)
    assert f"{name.upper()} is set to {tmp_path / 'mine'}" in str(ended.exception)
    assert "unset" in str(ended.exception)
    assert not (tmp_path / "mine").exists()


def test_samples_are_drawn_from_head_torso_tail_and_cold_and_labelled(settings, monkeypatch) -> None:
    """By sessions product 1 is the head, 2 the torso, 3, which has no list, the tail; 4 has none."""
    settings = with_lenient_gate(settings, monkeypatch)
    titles = {product: f"title {product}" for product in RELATED}
    publish_recommendations(make_night("2017-06-30", settings, titles=titles), settings)
    drawn = {"products": 2, "related": 1, "seed": "2017-06-30"}
    with transaction(settings) as connection:
        sample = select(connection, "sample_products", **drawn)
        again = select(connection, "sample_products", **drawn)
    assert sample == again
    found = [(row["segment"], row["sessions"], row["title"], row["related_title"]) for row in sample]
    assert found == [
        ("head", 40, "title 1", "title 2"),
        ("torso", 20, "title 2", "title 1"),
        ("cold", 0, "title 4", "title 3"),
    ]
    console = Console(width=120)
    with console.capture() as printed:
        console.print(samples_table(sample))
    lines = printed.get()
    at = [
        lines.index(text)
        for text in (WHAT_IS["head"], "title 1 (40 sessions)", WHAT_IS["torso"], WHAT_IS["cold"], "title 4")
    ]
    assert at == sorted(at) and WHAT_IS["tail"] not in lines


def test_another_seed_draws_other_products(settings, monkeypatch) -> None:
    settings = with_lenient_gate(settings, monkeypatch)
    related = {str(number): [str(number % 60 + 1)] for number in range(1, 61)}
    publish_recommendations(make_night("2017-06-30", settings, related, {key: f"t{key}" for key in related}), settings)
    with transaction(settings) as connection:
        drawn = [
            [row["product_id"] for row in select(connection, "sample_products", products=3, related=1, seed=seed)]
            for seed in ("a", "b")
        ]
    assert len(drawn[0]) == len(drawn[1]) > 3
    assert set(drawn[0]) != set(drawn[1])
