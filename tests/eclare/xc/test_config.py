import json

import pytest

from eclare.model.config import PRESETS, ECLAREConfig
from eclare.xc.config import RecommenderConfig


def test_a_file_is_flat_and_names_only_what_it_changes(tmp_path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"epochs": 3, "co_click_weight": 2}))
    config = RecommenderConfig.load(file)
    assert config == RecommenderConfig(ECLAREConfig(epochs=3), co_click_weight=2)
    config.save(file)
    assert json.loads(file.read_text())["epochs"] == 3
    assert RecommenderConfig.load(file) == config


@pytest.mark.parametrize("preset", PRESETS)
def test_only_our_own_preset_has_a_ranker_and_co_clicks(preset) -> None:
    config = RecommenderConfig.preset(preset)
    weight = 0.5 if preset == "default" else 0
    assert (config.co_click_weight, config.held_back_share) == (weight, weight)
    assert config.model == ECLAREConfig.preset(preset)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, r"config.json: epochs must be positive, got 0"),
        ({"epoch": 5}, "config.json: no such option: epoch; there are batch_size, beam, cluster_bits, co_click_weight"),
        ({"model": {}}, "no such option: model"),
        ({"co_click_weight": "2"}, "co_click_weight must be float, got '2'"),
        ({"co_click_weight": -1}, "co_click_weight must not be negative, got -1"),
        ({"held_back_share": 1.0}, r"held_back_share must lie in \[0, 1\), got 1.0"),
        ({"shortlister": "clusters", "co_click_weight": 0.5}, "co_click_weight must be 0 with shortlister clusters"),
        ({"shortlister": "clusters", "held_back_share": 0.5}, "held_back_share must be 0 with shortlister clusters"),
    ],
)
def test_a_bad_option_is_named(tmp_path, options: dict, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(options))
    with pytest.raises(ValueError, match=message):
        RecommenderConfig.load(file)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="preset must be one of default, paper-131k"):
        RecommenderConfig.preset("131k")
