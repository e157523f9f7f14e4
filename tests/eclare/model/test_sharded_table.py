"""The label table in parts: two processes (gloo) that share it out, against the same two with all of it each."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing import spawn

from eclare.model.checkpoint import Checkpoint
from eclare.model.config import ECLAREConfig
from eclare.model.network import ECLARE
from eclare.model.sharded_table import ShardedEmbedding, in_parts
from eclare.model.stages import Training, fresh_model, training_data_of
from eclare.model.training import Stage, StageRun, TrainingData, run_stage
from tests.eclare.model.test_training import texts_of
from tests.made_shops import shop_of_groups

CONFIG = ECLAREConfig(embedding_dim=16, batch_size=16, negatives_per_batch=16, validation_share=0.2)
STAGE, CPU = Stage("train", 4, 0.01, 5), torch.device("cpu")
PROCESSES, LABELS = 2, 45  # the parts are not even


def lesson_of(config: ECLAREConfig) -> TrainingData:
    shop = shop_of_groups(groups=3, products_per_group=15)
    return training_data_of(Training(shop.clicks.weights_NL, texts_of(shop), CPU), config)


def run(epochs: int, folder: Path | None, *, shard: bool, config: ECLAREConfig = CONFIG) -> ECLARE:
    data = lesson_of(config)
    model = fresh_model(data.texts, config, CPU)
    checkpoint = Checkpoint(folder, "this training", minutes=0) if folder else None
    run_stage(model, data, STAGE._replace(epochs=epochs), checkpoint, shard_labels=shard)
    return model


def in_one_of_two(rank: int, folder: Path) -> None:
    """What each of the processes does; the first writes what the tests look at."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES)
    states = {"whole": run(4, None, shard=False), "in parts": run(4, None, shard=True)}
    run(2, folder / "killed", shard=True)
    states["gone on"] = run(4, folder / "killed", shard=True)
    hard = replace(CONFIG, hard_negatives=4)
    states |= {f"hard, {shard}": run(3, None, shard=shard, config=hard) for shard in (False, True)}
    saved = {name: model.state_dict() for name, model in states.items()}
    torch.save(saved | {"looked up": looked_up(rank)}, folder / f"{rank}.pt")
    dist.destroy_process_group()


def looked_up(rank: int) -> dict[str, Tensor]:
    """Rows that a process asks for and the gradient that its part gets, beside the table in one piece."""
    table = nn.Embedding(5, 3, sparse=True)
    nn.init.normal_(table.weight, generator=torch.Generator().manual_seed(0))
    parts, rows = ShardedEmbedding(table), torch.tensor([[4, 0, 4], [1, 4]][rank])
    found = parts(rows)
    (found * (rank + 1)).sum().backward()
    held = {"weight": table.weight.detach(), "part": parts.weight.detach(), "rows": rows, "found": found.detach()}
    return held | {"gradient": parts.weight.grad.coalesce().to_dense()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    spawn(in_one_of_two, (folder,), PROCESSES)
    return folder


@pytest.fixture(scope="module")
def saved(folder) -> list[dict]:
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


pytestmark = pytest.mark.slow


def assert_alike(states: list[dict[str, Tensor]]) -> None:
    for other in states[1:]:
        assert states[0].keys() == other.keys()
        for name, value in states[0].items():
            assert torch.allclose(value, other[name], atol=1e-5), name


def test_any_rows_come_from_where_they_are_and_gradients_go_there(saved) -> None:
    first, second = (each["looked up"] for each in saved)
    assert torch.equal(torch.cat([first["part"], second["part"]]), first["weight"])
    assert (len(first["part"]), len(second["part"])) == (3, 2)
    for each in (first, second):
        assert torch.equal(each["found"], each["weight"][each["rows"]])
    # Asked for: 4, 0, 4 with a gradient of 1 each, and 1, 4 with 2; the mean of two processes.
    gradient = torch.cat([first["gradient"], second["gradient"]])
    assert gradient[:, 0].tolist() == [0.5, 1.0, 0.0, 0.0, 2.0]


def test_it_learns_what_the_table_in_one_piece_learns_and_all_have_the_whole(saved) -> None:
    for name in ("whole", "in parts"):
        assert_alike([each[name] for each in saved])
    assert saved[0]["in parts"]["refinement.weight"].shape == (LABELS, 16)
    assert_alike([saved[0]["whole"], saved[0]["in parts"]])


def test_hard_negatives_are_those_of_the_whole_table(saved) -> None:
    assert_alike([saved[0]["hard, False"], saved[0]["hard, True"]])


def test_a_killed_training_goes_on_and_its_checkpoint_fits_any_number_of_processes(saved, folder) -> None:
    assert_alike([saved[0]["in parts"], saved[0]["gone on"]])
    data = lesson_of(CONFIG)
    alone = fresh_model(data.texts, CONFIG, CPU)
    checkpoint = Checkpoint(folder / "killed", "this training")
    stage = StageRun(alone, data, STAGE)
    progress = checkpoint.read(alone, stage.optimisers)
    assert len(progress.epochs) == 4
    moments = stage.optimisers[0].state[alone.refinement.weight]
    assert moments["exp_avg"].shape == moments["exp_avg_sq"].shape == (LABELS, 16)
    alone.load_state_dict(progress.best)
    assert_alike([alone.state_dict(), saved[0]["gone on"]])


def test_one_process_keeps_its_table() -> None:
    model = fresh_model(lesson_of(CONFIG).texts, CONFIG, CPU)
    before = model.refinement
    with in_parts(model, wanted=True) as table:
        assert table is None and model.refinement is before
