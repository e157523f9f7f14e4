"""Fine-tuning of a small made encoder, whose weights are random."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.distributed as dist
from torch.multiprocessing import spawn

from eclare.model import fine_tuning
from eclare.model.fine_tuning import TEMPERATURE, FineTuning, fine_tuned
from eclare.model.sentence_encoder import SentenceEncoder
from tests.sentence_encoders import make_encoder

CPU = torch.device("cpu")
GROUPS, EACH = 6, 6
POINTS = [f"theme{group} item{row}" for group, row in product(range(GROUPS), range(EACH))]
LABELS = [f"kind{group} item{row + 10}" for group, row in product(range(GROUPS), range(EACH))]
GROUP_OF = np.arange(GROUPS * EACH) // EACH
IN_GROUP = (GROUP_OF[:, None] == GROUP_OF).astype(np.float32)


def targets(clicked_NL: np.ndarray) -> sp.csr_matrix:
    """Of the points alone: label texts shall come near to nothing."""
    return sp.vstack([sp.csr_matrix(clicked_NL), sp.csr_matrix(clicked_NL.shape[::-1])], format="csr", dtype=np.float32)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> SentenceEncoder:
    return SentenceEncoder.of(str(make_encoder(tmp_path_factory.mktemp("encoder") / "made")), CPU)


def test_the_loss_is_that_of_one_title_after_the_other(encoder) -> None:
    titles = [*POINTS[:-1], LABELS[-1], *LABELS]  # the last point is the last label, which it clicked
    tuning = FineTuning(encoder.read().eval(), titles, targets(IN_GROUP), seed=0)
    vectors = encoder.encode(titles)
    for batch in tuning.batches.epoch(1):
        total = 0.0
        for row, point in enumerate(batch.points_B):
            beside = [label for label in batch.labels_S if LABELS[label] != titles[point]]
            weights = np.exp(vectors[point] @ vectors[len(POINTS) :][beside].T / TEMPERATURE)
            shares = dict(zip(beside, weights / weights.sum(), strict=True))
            clicked = [label for label in beside if IN_GROUP[point, label]]
            total -= np.mean([np.log(shares[label]) for label in clicked])
            assert batch.weights_BS[row].sum() == sum(IN_GROUP[point, batch.labels_S])
        assert tuning.loss(batch).item() == pytest.approx(total / len(batch.points_B), rel=1e-4)


def test_titles_that_clicked_nothing_yet_come_near_what_their_like_clicked(encoder, monkeypatch) -> None:
    monkeypatch.setattr(fine_tuning, "LEARNING_RATE", 1e-2)
    unseen = np.arange(len(POINTS)) % EACH == 0
    tuned = fine_tuned(encoder, [*POINTS, *LABELS], targets(IN_GROUP * ~unseen[:, None]), epochs=8, seed=0)
    nearer = [_lead(each, unseen) for each in (encoder, tuned)]
    assert nearer[1] > nearer[0] + 0.3


def _lead(encoder: SentenceEncoder, rows: np.ndarray) -> float:
    """By how much the cosine to labels of a point's group is higher than to others."""
    cosines, own = encoder.encode(POINTS)[rows] @ encoder.encode(LABELS).T, IN_GROUP[rows] > 0
    return float(cosines[own].mean() - cosines[~own].mean())


def test_the_same_seed_learns_the_same_and_saving_keeps_it(encoder, tmp_path) -> None:
    before = encoder.encode(POINTS)
    tuned, again, other = (fine_tuned(encoder, [*POINTS, *LABELS], targets(IN_GROUP), 1, seed) for seed in (0, 0, 1))
    assert np.array_equal(tuned.encode(POINTS), again.encode(POINTS))
    assert not np.array_equal(tuned.encode(POINTS), other.encode(POINTS))
    assert np.array_equal(encoder.encode(POINTS), before) and not np.array_equal(tuned.encode(POINTS), before)
    saved = tuned.save(tmp_path / "tuned")
    assert np.array_equal(SentenceEncoder.of(str(tmp_path / "tuned"), CPU).encode(POINTS), tuned.encode(POINTS))
    assert saved.fingerprint != encoder.fingerprint


def in_one_of_two(rank: int, encoder: Path, folder: Path) -> None:
    """What each of two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    tuned = fine_tuned(SentenceEncoder(encoder, CPU), [*POINTS, *LABELS], targets(IN_GROUP), 1, 0)
    np.save(folder / f"{rank}.npy", tuned.encode(POINTS))
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_that_share_every_step_end_with_one_encoder(encoder, tmp_path) -> None:
    spawn(in_one_of_two, (encoder.folder, tmp_path), 2)
    one, other = (np.load(tmp_path / f"{rank}.npy") for rank in (0, 1))
    assert np.array_equal(one, other) and not np.allclose(one, encoder.encode(POINTS))


def test_a_loss_that_is_no_number_stops_it(encoder, monkeypatch) -> None:
    monkeypatch.setattr(fine_tuning, "TEMPERATURE", 0.0)
    with pytest.raises(FloatingPointError, match="the loss of the encoder, epoch 1, is nan"):
        fine_tuned(encoder, [*POINTS, *LABELS], targets(IN_GROUP), 1, 0)
