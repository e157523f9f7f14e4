from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.model import device_batches, training
from eclare.model.batches import Batch, Batches, Shortlist
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.device_batches import DeviceBatches, DeviceCSR
from eclare.model.search import search_classifiers
from eclare.model.stages import fresh_model, train
from eclare.model.step_inputs import StepInputs
from eclare.model.training import Stage, StageRun, TrainingData
from tests.eclare.model.test_training import DEVICES, everything, own, texts_of
from tests.made_shops import shop_of_groups

CPU = torch.device("cpu")
CONFIG = ECLAREConfig(
    embedding_dim=16, batch_size=16, positives_per_point=2, negatives_per_batch=12, learning_rate=0.02
)
LEAST_P_VALUE = 1e-3  # of a draw with a fixed seed
POINTS, LABELS, TOKENS = 70, 40, 30


def made(labels: int = LABELS, seed: int = 0) -> tuple[sp.csr_matrix, Texts]:
    """Clicks and texts with rows of every length, empty ones too; a label is among its own neighbours."""

    def sparse(rows: int, columns: int, density: float) -> sp.csr_matrix:
        values = random.random((rows, columns), np.float32) + 0.1
        return sp.csr_matrix(np.where(random.random((rows, columns)) < density, values, 0))

    random = np.random.default_rng(seed)
    edges = sparse(labels, labels, 0.1).toarray()
    np.fill_diagonal(edges, 1)
    return sparse(POINTS, labels, 0.08), Texts(
        sparse(POINTS, TOKENS, 0.1), sparse(labels, TOKENS, 0.1), sp.csr_matrix(edges)
    )


def batches_on(device: str, config: ECLAREConfig = CONFIG, rank: int = 0, world_size: int = 1) -> DeviceBatches:
    clicks, texts = made()
    return DeviceBatches.of(Batches(clicks, config, rank, world_size), texts, torch.device(device))


def tensors_of(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value.cpu()
    elif isinstance(value, tuple):
        for each in value:
            yield from tensors_of(each)


def same(one: object, other: object) -> bool:
    pairs = zip(tensors_of(one), tensors_of(other), strict=True)
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


def drawn_alike(of_ours: np.ndarray, of_theirs: np.ndarray) -> float:
    """The p-value of two sets of draws, each draw a number, being of one distribution."""
    from scipy.stats import chi2_contingency  # 0.7 s of a core, in no process that does not run this

    values = np.unique(np.concatenate([of_ours, of_theirs]))
    return chi2_contingency([[np.sum(draws == value) for value in values] for draws in (of_ours, of_theirs)]).pvalue


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_points_and_labels_give_the_inputs_that_a_cpu_makes(device: str) -> None:
    (clicks, texts), ours = made(), batches_on(device)
    for points, labels in [
        (np.arange(POINTS), np.arange(0, LABELS, 3)),
        (np.array([5, 3, 60]), np.array([LABELS - 1])),
    ]:
        points_B, labels_S = (torch.from_numpy(rows).to(device) for rows in (points, labels))
        batch = Batch(points, labels, clicks[points][:, labels], 0.5)
        expected = StepInputs.of(texts, batch, every_label=False)
        found = ours.inputs(points_B, ours.clicks_NL.rows(points_B), labels_S, 0.5)
        assert same(found, expected)
        assert found.share == 0.5 and found.scored is None and found.clicked.shape == expected.clicked.shape
        assert np.array_equal(found.clicked.dense().cpu().numpy(), batch.weights_BS.toarray())


@pytest.mark.parametrize("device", DEVICES)
def test_an_epoch_has_the_points_of_the_cpu_s_batches_and_labels_drawn_for_them(device: str) -> None:
    (clicks, _), ours = made(), batches_on(device)
    for inputs, batch in zip(ours.epoch(3), ours.batches.epoch(3), strict=True):
        labels_S = inputs.labels.rows.labels_S.cpu().numpy()
        assert (np.diff(labels_S) > 0).all(), "sorted, none twice"
        of_points = clicks[batch.points_B]
        assert np.array_equal(inputs.clicked.dense().cpu().numpy(), of_points[:, labels_S].toarray())
        least = np.minimum(np.diff(of_points.indptr), CONFIG.positives_per_point)
        assert (np.diff(of_points[:, labels_S].indptr) >= least).all()
        assert len(labels_S) <= least.sum() + CONFIG.negatives_per_batch


@pytest.mark.parametrize("device", DEVICES)
def test_no_point_has_more_positives_than_wanted_nor_one_twice(device: str) -> None:
    ours = batches_on(device)
    clicked = ours.clicks_NL.rows(torch.arange(POINTS, device=device))
    entries = ours.drawn(clicked, torch.Generator(device).manual_seed(0))
    assert len(entries.unique()) == len(entries)
    drawn = torch.bincount(clicked.row[entries], minlength=POINTS)
    assert torch.equal(drawn, (clicked.starts[1:] - clicked.starts[:-1]).clamp(max=CONFIG.positives_per_point))


@pytest.mark.parametrize("device", DEVICES)
def test_positives_are_drawn_by_weight_as_on_a_cpu(device: str) -> None:
    """Each of many equal points draws two of five labels: one of ten pairs."""
    clicks = sp.csr_matrix(np.tile(np.array([[8, 0, 4, 2, 1, 0.5]], np.float32), (20_000, 1)))
    batches = Batches(clicks, CONFIG)
    rows = DeviceCSR.of(clicks, torch.device(device)).rows(torch.arange(clicks.shape[0], device=device))
    ours = DeviceBatches(batches, *[DeviceCSR.of(clicks, torch.device(device))] * 4, None)
    found = ours.drawn(rows, torch.Generator(device).manual_seed(1)).cpu().numpy()
    pairs = [
        np.bincount(entries // 5, 2.0 ** (entries % 5))
        for entries in (found, batches._drawn(clicks, np.random.default_rng(1)))
    ]
    assert drawn_alike(*pairs) > LEAST_P_VALUE
    alike = batches._drawn(clicks.sign(), np.random.default_rng(1))
    assert drawn_alike(pairs[0], np.bincount(alike // 5, 2.0 ** (alike % 5))) < LEAST_P_VALUE, "the test can fail"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("power", [0.0, 0.75])
def test_negatives_are_drawn_by_a_power_of_their_points_as_on_a_cpu(device: str, power: float) -> None:
    ours = batches_on(device, replace(CONFIG, negative_power=power))
    found = ours._among_all(40_000, torch.Generator(device).manual_seed(0)).cpu().numpy()
    assert drawn_alike(found, ours.batches._among_all(40_000, np.random.default_rng(0))) > LEAST_P_VALUE
    other = batches_on(device, replace(CONFIG, negative_power=1.0)).batches
    assert drawn_alike(found, other._among_all(40_000, np.random.default_rng(0))) < LEAST_P_VALUE, "the test can fail"


@pytest.mark.parametrize("device", DEVICES)
def test_negatives_are_the_hardest_first_and_all_where_there_are_no_more(device: str) -> None:
    ours, random = batches_on(device), torch.Generator(device).manual_seed(0)
    wanted = CONFIG.negatives_per_batch
    few = torch.tensor([[3, 9], [9, 4]], dtype=torch.int32, device=device)
    found = ours.negatives(few, random).tolist()
    assert found[:3] == [3, 4, 9] and len(found) == wanted
    many = torch.arange(10, 30, dtype=torch.int32, device=device)[None]
    draws = np.array([ours.negatives(many, random).tolist() for _ in range(300)])
    assert all(len(set(draw)) == wanted for draw in draws.tolist())
    assert np.bincount(draws.ravel(), minlength=30)[10:] / 300 == pytest.approx(wanted / 20, abs=0.12)
    whole = batches_on(device, replace(CONFIG, negatives_per_batch=LABELS))
    assert whole.negatives(few, random).tolist() == list(range(LABELS))


@pytest.mark.parametrize("device", DEVICES)
def test_an_epoch_after_a_restart_is_drawn_as_it_would_have_been_and_every_process_draws_for_itself(
    device: str,
) -> None:
    ours = batches_on(device)
    list(ours.epoch(1))
    second = tuple(ours.epoch(2))
    assert same(second, tuple(batches_on(device).epoch(2)))
    others = [
        batches_on(device, replace(CONFIG, seed=seed), rank, 2).generator(number)
        for seed in (0, 1) for rank in (0, 1) for number in (1, 2)
    ]  # fmt: skip
    assert len({each.initial_seed() for each in others}) == len(others)


def test_several_processes_share_every_step_s_points() -> None:
    (clicks, texts), config = made(), replace(CONFIG, positives_per_point=1, negatives_per_batch=4)
    of_each = [list(batches_on("cpu", config, rank, 3).epoch(1)) for rank in range(3)]
    for parts, batch in zip(zip(*of_each, strict=True), Batches(clicks, config).epoch(1), strict=True):
        assert sum(part.share for part in parts) == pytest.approx(3)
        titles = [set(part.points.used_U.tolist()) for part in parts if part.share]
        assert set().union(*titles) == set(texts.points_NV[batch.points_B].indices.tolist())


def run_on_cpu(data: TrainingData) -> StageRun:
    return StageRun(fresh_model(data.texts, CONFIG, CPU), data, Stage("train", 1, 0.02, 5))


def test_a_device_draws_where_the_data_leave_it_room(monkeypatch) -> None:
    monkeypatch.setattr(training, "DRAW_ON", ("cpu",))
    clicks, texts = made()
    copied = tuple(DeviceCSR.of(matrix, CPU) for matrix in (clicks, texts.points_NV, texts.labels_LV, texts.edges_LL))
    bytes_held = sum(tensor.nbytes for tensor in tensors_of(copied))
    assert run_on_cpu(TrainingData(clicks, texts)).device_batches
    for share, fits in ((1.01, True), (0.99, False)):
        monkeypatch.setattr(
            device_batches, "free_bytes", lambda _, share=share: share * bytes_held / device_batches.ROOM
        )
        run = run_on_cpu(TrainingData(clicks, texts))
        assert bool(run.device_batches) == fits
        assert same(next(run.inputs(1)), next(map(run._inputs, run.batches.epoch(1)))) != fits


def test_steps_whose_labels_are_not_drawn_are_made_on_the_cpu(monkeypatch) -> None:
    monkeypatch.setattr(training, "DRAW_ON", ("cpu",))
    clicks, texts = made()
    eye = sp.identity(LABELS, np.float32, format="csr")
    shortlist = Shortlist(clicks, eye, eye)
    assert run_on_cpu(TrainingData(clicks, texts, shortlist)).device_batches is None
    assert run_on_cpu(TrainingData(clicks, texts, every_label=True)).device_batches is None


@pytest.mark.parametrize("device", DEVICES)
def test_what_a_device_draws_teaches_the_groups(device: str, monkeypatch) -> None:
    monkeypatch.setattr(training, "DRAW_ON", (device,))
    shop, config = shop_of_groups(groups=4), replace(CONFIG, epochs=8, hard_negatives=2, negative_power=0.75)
    model = train(shop.clicks.weights_NL, texts_of(shop), config, torch.device(device))
    labels, _ = search_classifiers(model, texts_of(shop).points_NV, 5, everything(shop), own_N=own(shop))
    assert (shop.group_of_P[labels] == shop.group_of_P[:, None]).mean() > 0.95
