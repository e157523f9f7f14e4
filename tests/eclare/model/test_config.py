import json

import pytest

from eclare.model.config import ECLAREConfig


def test_it_is_saved_beside_the_weights_and_read_again(tmp_path) -> None:
    config = ECLAREConfig(embedding_dim=64, learning_rate=0.01)
    config.save(tmp_path / "config.json")
    assert ECLAREConfig.load(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be positive, got 0"),
        ({"epochs": "5"}, "epochs must be int, got '5'"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"negative_power": 1.5}, r"negative_power must lie in \[0, 1\], got 1.5"),
        ({"loss": "hinge"}, "loss must be softmax or bce, got 'hinge'"),
        ({"epoch": 5}, "no such option: epoch; there are batch_size"),
    ],
)
def test_a_bad_option_is_named(tmp_path, options: dict, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(options))
    with pytest.raises(ValueError, match=message):
        ECLAREConfig.load(file)


def test_its_hash_is_of_every_option() -> None:
    assert ECLAREConfig(seed=1).hash == ECLAREConfig(seed=1).hash
    assert len({ECLAREConfig().hash, ECLAREConfig(seed=1).hash, ECLAREConfig(dropout=0.3).hash}) == 3


def test_another_preset_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(ValueError, match=r"preset must be one of default, paper-131k, .*, got 'paper'"):
        ECLAREConfig.preset("paper")
