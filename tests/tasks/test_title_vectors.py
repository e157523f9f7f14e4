"""Vectors of titles in the storage: a night encodes new titles only, and ranks with them the same in any shards."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from eclare.model.sentence_encoder import SentenceEncoder
from eclare.related import ranking
from eclare.related.ranking import Ranked
from tasks import title_vectors
from tasks.errors import BadInput
from tasks.ranking import load_sentences
from tasks.run import run
from tasks.shards import shards_of
from tasks.stores.artefacts import Storage
from tasks.title_vectors import vectors_of
from tests.made_shops import sessions_of_groups
from tests.sentence_encoders import make_encoder
from tests.tasks.steps.test_train_model import DAY, QUICK, make_interactions, with_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("encoder") / "made")


@pytest.fixture
def encoder(folder) -> SentenceEncoder:
    return SentenceEncoder.of(str(folder), torch.device("cpu"))


def test_new_titles_alone_are_encoded(encoder, tmp_path, monkeypatch) -> None:
    storage, asked = Storage(str(tmp_path)), []
    encode = SentenceEncoder.encode
    monkeypatch.setattr(
        SentenceEncoder, "encode", lambda self, titles: asked.append(len(titles)) or encode(self, titles)
    )
    first, new = vectors_of(["red mug", "blue cup", "red mug"], encoder, storage)
    assert new == 2 and np.array_equal(first[0], first[2])
    second, new = vectors_of(["green plate", "blue cup", "red mug"], encoder, storage)
    assert new == 1 and np.array_equal(second[1:], first[[1, 0]])
    third, new = vectors_of(["blue cup", "green plate"], encoder, storage)
    assert new == 0 and np.array_equal(third, second[[1, 0]])
    assert asked == [2, 1]
    assert np.array_equal(
        second, vectors_of(["green plate", "blue cup", "red mug"], encoder, Storage(str(tmp_path / "b")))[0]
    )


def test_another_encoder_has_vectors_of_its_own(encoder, tmp_path) -> None:
    storage = Storage(str(tmp_path / "storage"))
    vectors_of(["red mug"], encoder, storage)
    other = SentenceEncoder.of(str(make_encoder(tmp_path / "made", seed=1)), torch.device("cpu"))
    assert vectors_of(["red mug"], other, storage)[1] == 1


def test_a_night_that_is_killed_while_it_encodes_leaves_nothing(encoder, tmp_path, monkeypatch) -> None:
    storage = Storage(str(tmp_path))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(title_vectors.np, "savez", killed)
        with pytest.raises(KeyboardInterrupt):
            vectors_of(["red mug"], encoder, storage)
    assert vectors_of(["red mug"], encoder, storage)[1] == 1


@pytest.mark.parametrize("name", ["no_such_encoder", ""])
def test_an_encoder_that_is_not_there_stops_the_night(settings, name) -> None:
    with pytest.raises(BadInput, match="TEXT_ENCODER must be a folder"):
        title_vectors.write_sentences(
            settings.state_folder, ["mug"], np.ones(1, bool), settings.model_copy(update={"text_encoder": name})
        )


@pytest.mark.slow
def test_a_night_with_an_encoder_is_the_same_in_any_shards(settings, folder, monkeypatch) -> None:
    update = {"held_out_days": 2, "window_days": 60, "top_k": 5, "text_encoder": str(folder)}
    settings = with_config(settings.model_copy(update=update), QUICK)
    shop = sessions_of_groups(groups=6, products_per_group=8, days=40)
    night = make_interactions(shop, settings)
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(night.artefact("label_graph"))) as graph:
        sentences = load_sentences(graph)
    assert sentences is not None and len(sentences.vectors_PE) == len(shop.titles) and sentences.like_PP.nnz
    monkeypatch.setattr("eclare.related.backtest._sentences_help", lambda *_: True)
    monkeypatch.setattr(ranking, "CHUNK", 16)
    assert run("train_model", DAY, settings)["text_encoder_kept"] == 1
    found = []
    for shards in (1, 3):
        mine = settings.model_copy(update={"recommend_shards": shards})
        run("rank_products", DAY, mine)
        with ExitStack() as opened:
            parts = [storage.read(night.ranked(shard)) for shard in shards_of(mine)]
            found.append(Ranked.load([opened.enter_context(storage.open(part)) for part in parts]))
    assert np.array_equal(found[0].labels_QK, found[1].labels_QK)
    assert np.array_equal(found[0].scores_QK, found[1].scores_QK)
    right = shop.group_of_P[found[0].labels_QK[:, :5]] == shop.group_of_P[:, None]
    assert right.mean() > 0.9
