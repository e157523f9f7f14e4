import sys

import numpy as np
import pytest
import torch

from eclare.model import sentence_encoder
from eclare.model.sentence_encoder import BATCH, SentenceEncoder, folder_of
from tests.sentence_encoders import make_encoder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> SentenceEncoder:
    return SentenceEncoder.of(str(make_encoder(tmp_path_factory.mktemp("encoder") / "made")), CPU)


def test_a_vector_has_norm_one_and_is_the_same_whatever_is_encoded_beside_it(encoder) -> None:
    titles = [f"red {word} item{k}" for k in range(40) for word in ("mug", "large blue cup")] + [""]
    vectors = encoder.encode(titles)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(titles))[: BATCH + 3]
    assert np.array_equal(encoder.encode([titles[row] for row in order]), vectors[order])
    assert np.array_equal(encoder.encode([titles[5], titles[5]]), vectors[[5, 5]])
    assert np.allclose(encoder.encode_one(titles[5]), vectors[5], atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_a_long_title_is_cut_off(encoder) -> None:
    assert np.isfinite(encoder.encode(["mug " * 5000, "mug"])).all()


def test_another_model_has_another_fingerprint(encoder, tmp_path) -> None:
    other = SentenceEncoder.of(str(make_encoder(tmp_path / "made", seed=1)), CPU)
    assert other.fingerprint != encoder.fingerprint
    other.check(other.fingerprint)
    with pytest.raises(ValueError, match="must be the encoder that the model was fitted with"):
        other.check(encoder.fingerprint)


def test_an_encoder_is_a_folder_or_a_package_that_holds_one(tmp_path, monkeypatch) -> None:
    (tmp_path / "some_encoder" / "model").mkdir(parents=True)
    (tmp_path / "some_encoder" / "model" / "modules.json").write_text("[]")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert folder_of("some_encoder") == folder_of(str(tmp_path / "some_encoder" / "model"))
    (tmp_path / "empty").mkdir()
    sys.path_importer_cache.clear()
    for name, seen in (
        ("all-MiniLM-L6-v2", "neither a folder nor an installed package"),
        (str(tmp_path / "empty"), "a folder without modules.json"),
        ("json", "a package with 0 such folders"),
    ):
        with pytest.raises(ValueError, match=seen):
            folder_of(name)


def test_without_the_library_it_is_said_what_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(sentence_encoder, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"eclare-nightly\[text\]"):
        SentenceEncoder.of(str(tmp_path), CPU)
