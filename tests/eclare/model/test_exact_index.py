"""Search on a device by chunks, and the quick search of a CPU, against sorting every score."""

import numpy as np
import pytest
import torch

from eclare.arrays.topk import PAD
from eclare.model import exact_index, inference
from eclare.model.exact_index import ExactIndex
from eclare.model.inference import build_index, build_quick_index

CPU = torch.device("cpu")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


def vectors(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    """In clusters, as classifiers are."""
    centres = np.random.default_rng(7).normal(size=(40, dim))
    random = np.random.default_rng(seed)
    return (centres[random.integers(40, size=count)] + 0.3 * random.normal(size=(count, dim))).astype(np.float32)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact, strict=True)]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("queries_at_once", "scores_at_once"), [(1024, 2**28), (7, 7 * 90), (32, 1)])
def test_an_exact_search_by_chunks_equals_sorting(monkeypatch, device, queries_at_once, scores_at_once) -> None:
    monkeypatch.setattr(exact_index, "QUERIES_AT_ONCE", queries_at_once)
    monkeypatch.setattr(exact_index, "SCORES_AT_ONCE", scores_at_once)
    classifiers, questions = vectors(400), vectors(50, seed=1)
    index = ExactIndex(classifiers, torch.device(device))
    scores, places = index.search(questions, 10)
    every = questions @ classifiers.T
    assert index.ntotal == 400
    assert np.array_equal(places, np.argsort(-every, axis=1)[:, :10])
    assert np.allclose(scores, -np.sort(-every, axis=1)[:, :10], atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_more_labels_than_faiss_finds_on_a_gpu_and_more_than_there_are(device) -> None:
    classifiers, questions = vectors(2500), vectors(3, seed=1)
    scores, places = ExactIndex(classifiers, torch.device(device)).search(questions, 2600)
    assert np.array_equal(np.sort(places[:, :2500], axis=1), np.tile(np.arange(2500), (3, 1)))
    assert (places[:, 2500:] == PAD).all()
    assert (np.diff(scores[:, :2500], axis=1) <= 0).all()


def test_rows_end_as_those_of_faiss() -> None:
    classifiers, questions = vectors(5), vectors(3, seed=1)
    ours, faiss = (
        index.search(questions, 7) for index in (ExactIndex(classifiers, CPU), build_index(classifiers, CPU))
    )
    assert np.allclose(ours[0][:, :5], faiss[0][:, :5], atol=1e-4)
    assert np.array_equal(ours[1], faiss[1])


def test_every_search_is_exact_but_the_quick_one_where_there_is_no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(inference, "QUICK_EXACT_BELOW", 1000)
    monkeypatch.setattr(inference, "QUANTISED_FROM", 1000)
    classifiers, questions = vectors(4000), vectors(200, seed=1)
    exact = np.argsort(-(questions @ classifiers.T), axis=1)[:, :10]
    assert recall(build_index(classifiers, CPU).search(questions, 10)[1], exact) == 1
    quick = build_quick_index(classifiers, CPU)
    assert 0.95 < recall(quick.search(questions, 100)[1], exact) <= 1
    assert recall(quick.search(questions, 10)[1], exact) < 1, "its own scores are rounded: they are computed again"
    again = build_quick_index(classifiers, CPU).search(questions, 100)[1]
    assert np.array_equal(again, quick.search(questions, 100)[1])
    made = []
    monkeypatch.setattr(inference, "ExactIndex", lambda _, device: made.append(device.type))
    for build in (build_index, build_quick_index):
        build(classifiers, torch.device("cuda"))
    assert made == ["cuda", "cuda"]
