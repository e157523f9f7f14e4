from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from local.__main__ import app
from local.demo import ITS_OWN, NIGHT, NIGHT_BEFORE, WHAT_IS, _date_back, _let_pass, samples_table
from tasks.errors import BadInput
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import select, transaction
from tests.nights import OTHER, RELATED, make_night, rows_of, with_lenient_gate
from tests.tasks.test_analysts import strict


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


def test_only_the_first_move_is_dated_back(settings, monkeypatch) -> None:
    settings = with_lenient_gate(settings, monkeypatch)
    for day in (NIGHT_BEFORE, NIGHT):
        publish_recommendations(make_night(str(day), settings), settings)
    _date_back(settings)
    moves = rows_of(settings, "select night, (live_from at time zone 'UTC')::date from live_history order by change_id")
    assert moves[0] == (NIGHT_BEFORE, NIGHT)
    assert moves[1][0] == NIGHT and moves[1][1] > NIGHT
    ((age,),) = rows_of(settings, "select age_hours from staleness")
    assert age < 1, "what is live is as old as it is"


def test_co_clicks_that_the_gate_refused_are_approved_and_nothing_else_is(settings, monkeypatch) -> None:
    settings, refusal = with_lenient_gate(settings, monkeypatch), BadInput("refused")
    with pytest.raises(BadInput, match=r"^refused$"):
        _let_pass(refusal, settings)
    publish_recommendations(make_night(str(NIGHT_BEFORE - timedelta(days=1)), settings), settings)
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(make_night(str(NIGHT_BEFORE), settings, OTHER), strict(settings))
    _let_pass(refusal, settings)
    ((action, night, actor),) = rows_of(
        settings, "select action, night, actor from live_history order by change_id desc limit 1"
    )
    assert (action, night, actor) == ("override", NIGHT_BEFORE, "demo")
    _let_pass(refusal, settings)  # a second demo finds the version that it approved
    assert rows_of(settings, "select count(*) from live_history") == [(2,)]


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
