"""The parts of gpu_check, each a generator of figures, so that one that is stopped has told what it knew."""

import copy
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.gpu_check import Check, Figures, is_there
from benchmarks.gpu_made import data_of, titles
from benchmarks.gpu_usage import utilisation
from benchmarks.made_clicks import Shape
from eclare.model import training
from eclare.model.batches import Batches
from eclare.model.clusters import build_clusters, smoothed_centroids
from eclare.model.config import ECLAREConfig
from eclare.model.device_batches import DeviceBatches
from eclare.model.ensemble import Ensemble, Member, Trained
from eclare.model.exact_index import ExactIndex
from eclare.model.inference import attention_of, classifiers_of, encoded_by
from eclare.model.network import ECLARE
from eclare.model.search import search_classifiers
from eclare.model.stages import fresh_model, over_clusters, over_shortlists, points_of
from eclare.model.step_inputs import StepInputs, moved
from eclare.model.training import Stage, StageRun, TrainingData

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[1]
STAGE = Stage("train", 10, 0.01, 5)
OF_FLOAT32 = 1e-4  # share of the largest number, or of the norm of all: a GPU adds up in another order
LEAST_RECALL = 0.999  # scores that are equal but for rounding may change places
QUERIES, JUDGED, TOP, OVER_FAISS = 8192, 100, 100, 2100
FAISS_SECONDS = 120
WARM_UP = 5  # steps, in which memory is taken and moments are made
TOGETHER = """
import json, torch
told = {"torch": torch.__version__, "cuda": torch.version.cuda}
on = torch.device("cuda" if torch.cuda.is_available() else "cpu")
vectors = torch.randn(1000, 16, device=on)
torch_says = (vectors @ vectors.T).topk(5).indices.cpu()
import faiss
told |= {"faiss": faiss.__version__, "faiss_gpus": getattr(faiss, "get_num_gpus", lambda: 0)()}
index = faiss.IndexFlatIP(16)
if told["faiss_gpus"]:
    index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
index.add(vectors.cpu().numpy())
faiss_says = torch.from_numpy(index.search(vectors.cpu().numpy(), 5)[1])
torch_again = (vectors @ vectors.T).topk(5).indices.cpu()
told["agree"] = float((torch_says == faiss_says).float().mean())
assert torch.equal(torch_says, torch_again)
print(json.dumps(told))
"""


def libraries(check: Check) -> Iterator[Figures]:
    """torch and faiss in one process, which has a process of its own: two CUDAs may end it."""
    yield {"torch": torch.__version__, "cuda": torch.version.cuda, "python": sys.version.split()[0]}
    if check.on_gpu:
        yield {"gpu": torch.cuda.get_device_name(), "gpu_gib": torch.cuda.mem_get_info()[1] / 2**30}
    if not is_there("faiss"):
        raise ImportError("faiss is not here; on a GPU nothing needs it")
    command = [sys.executable, "-c", TOGETHER]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=FAISS_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        yield {"with_faiss": f"no answer in {FAISS_SECONDS} seconds"}
        return
    if run.returncode:
        yield {"with_faiss": f"ended with {run.returncode}: {(run.stderr.strip() or 'nothing said').splitlines()[-1]}"}
    else:
        yield {"with_faiss": json.loads(run.stdout)}


def results(check: Check) -> Iterator[Figures]:
    """The device against the CPU, without dropout: titles, classifiers, a step's loss, gradients and update."""
    data = data_of(Shape.LF_AMAZON_TITLES_131K, 0.05 * check.scale)
    config = ECLAREConfig(dropout=0.0)
    here = fresh_model(data.texts, config, CPU)
    there = copy.deepcopy(here).to(check.device)

    def differ(name: str, compute: Callable[[ECLARE], np.ndarray]) -> Figures:
        mine, its = compute(here.eval()), compute(there.eval())
        return {name: check.within(name, float(np.abs(mine - its).max() / np.abs(mine).max()), OF_FLOAT32)}

    yield differ("encoded", lambda model: encoded_by(model, data.texts.points_NV[:2000]))
    yield differ("classifiers", lambda model: classifiers_of(model, data.texts))
    yield differ("attention", lambda model: attention_of(model, data.texts))
    yield {"inputs_that_differ": check.within("inputs_that_differ", _inputs_that_differ(check, data), 0)}
    runs = [StageRun(copy.deepcopy(model).train(), data, STAGE) for model in (here, there)]
    inputs = runs[0]._inputs(next(runs[0].batches.epoch(1)))
    losses = [run.loss(moved(inputs, run.model.device)) for run in runs]
    yield {"loss": check.within("loss", abs(losses[1].item() / losses[0].item() - 1), OF_FLOAT32)}
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    mine, its = (_gradients(run.model) for run in runs)
    yield {"gradients": check.within("gradients", float((mine - its).norm() / mine.norm()), OF_FLOAT32)}
    for mine, its in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        its.grad = None if mine.grad is None else mine.grad.to(check.device)
    before = _weights(runs[0].model)
    for run in runs:
        for optimiser in run.optimisers:
            optimiser.step()
    mine, its = (_weights(run.model) for run in runs)
    gap = float((mine - its).norm() / (mine - before).norm())
    yield {"update": check.within("update", gap, 10 * OF_FLOAT32)}


def _inputs_that_differ(check: Check, data: TrainingData) -> int:
    """Tensors of a step that the device gathers otherwise than the CPU does, for the same points and labels."""
    batches = Batches(data.clicks_NL, ECLAREConfig())
    batch = next(batches.epoch(1))
    points_B, labels_S = (torch.from_numpy(rows).to(check.device) for rows in (batch.points_B, batch.labels_S))
    there = DeviceBatches.of(batches, data.texts, check.device)
    its = there.inputs(points_B, there.clicks_NL.rows(points_B), labels_S, batch.share)
    mine = moved(StepInputs.of(data.texts, batch, every_label=False), check.device)
    return sum(not torch.equal(a, b) for a, b in zip(_tensors_of(mine), _tensors_of(its), strict=True))


def _tensors_of(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _tensors_of(each)


def _gradients(model: ECLARE) -> torch.Tensor:
    return torch.cat([each.grad.to_dense().cpu().ravel() for each in model.parameters() if each.grad is not None])


def _weights(model: ECLARE) -> torch.Tensor:
    return torch.cat([each.detach().cpu().ravel() for each in model.parameters()]).clone()


def search(check: Check) -> Iterator[Figures]:
    """Exact search on the device against all scores in float64, for more labels than faiss finds on a GPU."""
    random = np.random.default_rng(0)
    labels, dim = check.scaled(1_305_265, least=4 * OVER_FAISS), ECLAREConfig().embedding_dim
    classifiers_LD, encoded_QD = (random.normal(size=(rows, dim)).astype(np.float32) for rows in (labels, QUERIES))
    index = ExactIndex(classifiers_LD, check.device)
    exact = encoded_QD[:JUDGED].astype(np.float64) @ classifiers_LD.astype(np.float64).T
    index.search(encoded_QD[:JUDGED], TOP)
    start = time.perf_counter()
    found = index.search(encoded_QD[: check.scaled(QUERIES, least=JUDGED)], TOP)[1]
    yield {"labels": labels, "ms_a_query": 1e3 * (time.perf_counter() - start) / len(found)}
    for k in (TOP, OVER_FAISS):
        best = np.argpartition(-exact, k, axis=1)[:, :k]
        yield _recall(check, index.search(encoded_QD[:JUDGED], k)[1], best)


def _recall(check: Check, found_QK: np.ndarray, best_QK: np.ndarray) -> Figures:
    k = best_QK.shape[1]
    recall = float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found_QK, best_QK, strict=True)]))
    check.within(f"1 - recall of the best {k}", 1 - recall, 1 - LEAST_RECALL)
    return {f"recall_of_{k}": recall}


def train_131k(check: Check) -> Iterator[Figures]:
    """Steps of the default config at the shape of LF-AmazonTitles-131K."""
    yield from _train(check, Shape.LF_AMAZON_TITLES_131K, 40)


def train_1_3m(check: Check) -> Iterator[Figures]:
    """The same at the shape of LF-AmazonTitles-1.3M, tables and moments of 1.3 million labels."""
    yield from _train(check, Shape.LF_AMAZON_TITLES_1_3M, 60)


def _train(check: Check, shape: Shape, seconds: float) -> Iterator[Figures]:
    start = time.perf_counter()
    data = data_of(shape, check.scale)
    model = fresh_model(data.texts, ECLAREConfig(), check.device)
    yield {"preparation_s": time.perf_counter() - start}
    for name, kinds, share in (("", (check.device.type,), 0.6), ("by_cpu_", (), 0.4)):
        with patch.object(training, "DRAW_ON", kinds):
            yield from _steps(check, StageRun(model, data, STAGE), share * seconds, name)


def _steps(check: Check, run: StageRun, seconds: float, name: str = "") -> Iterator[Figures]:
    """Seconds a step from batches to weights, of its inputs alone, and of steps whose inputs are there."""
    per_epoch, steps = run.batches.steps_per_epoch, (loss for number in count(1) for loss in run.steps(number))
    losses = list(islice(steps, WARM_UP))
    _wait(check)
    with utilisation(check.device) as used:
        start = time.perf_counter()
        for loss in islice(steps, per_epoch):
            losses.append(loss)
            if time.perf_counter() > start + seconds:
                break
        _wait(check)
        each = (time.perf_counter() - start) / (len(losses) - WARM_UP)
    steps.close()
    values = torch.stack(losses).cpu()
    if not torch.isfinite(values).all():
        check.wrong.append(f"{name or run.stage.name}: a loss is not a number")
    figures: Figures = {
        "steps": len(losses),
        "s_a_step": each,
        "steps_an_epoch": per_epoch,
        "s_an_epoch": each * per_epoch,
    }
    figures |= used | {"loss_first": float(values[0]), "loss_last": float(values[-1])}
    figures["inputs_by"] = _inputs_by(run)
    repeats = max(1, min(20, int(5 / each)))
    figures["s_inputs"] = _seconds_each(check, run.inputs(1), repeats)
    inputs = next(run.inputs(1))
    figures["s_a_step_inputs_there"] = _seconds_each(check, (run._step(inputs) for _ in count()), repeats)
    yield {f"{name}{key}": value for key, value in figures.items()}


def _inputs_by(run: StageRun) -> str:
    """Who made the inputs of its steps."""
    device = run.model.device.type
    if run.device_batches:
        return f"torch on {device}"
    return "threads ahead" if device in training.PREFETCH_ON else "the CPU in turn"


def _seconds_each(check: Check, made: Iterator[object], repeats: int) -> float:
    """After the first; there may be fewer than wanted."""
    next(made)
    _wait(check)
    start = time.perf_counter()
    number = sum(1 for _ in islice(made, repeats))
    _wait(check)
    return (time.perf_counter() - start) / max(number, 1)


def _wait(check: Check) -> None:
    if check.on_gpu:
        torch.cuda.synchronize()


def paper_131k(check: Check) -> Iterator[Figures]:
    """First steps of each stage of the paper's preset; its shortlists are of a quarter of the points."""
    data = data_of(Shape.LF_AMAZON_TITLES_131K, check.scale)
    points = data.clicks_NL.shape[0] - data.clicks_NL.shape[1]
    texts = replace(data.texts, points_NV=data.texts.points_NV[:points])
    data, config = TrainingData(data.clicks_NL[:points], texts), ECLAREConfig.preset("paper-131k")
    start = time.perf_counter()
    centroids = smoothed_centroids(data.clicks_NL, texts.points_NV, texts.labels_LV, texts.edges_LL)
    clusters = build_clusters(centroids, points_of(data.clicks_NL), config)
    meta = over_clusters(data, clusters)
    yield {"clusters": len(clusters), "clusters_s": time.perf_counter() - start}
    without_refinement = replace(config, use_refinement=False)
    surrogate = fresh_model(meta.texts, without_refinement, check.device)
    yield from _steps(check, StageRun(surrogate, meta, STAGE._replace(name="surrogate")), 15, "surrogate_")
    frozen = STAGE._replace(name="shortlister", frozen_tokens=True)
    shortlister = fresh_model(meta.texts, config, check.device, surrogate)
    yield from _steps(check, StageRun(shortlister, meta, frozen), 15, "shortlister_")
    some = np.arange(points // 4, dtype=np.int32)
    few = replace(data, clicks_NL=data.clicks_NL[some], texts=texts.of_points(some))
    start = time.perf_counter()
    listed = over_shortlists(few, clusters, Trained(shortlister.eval(), meta.texts))
    yield {"shortlists_s": time.perf_counter() - start}
    ranker = fresh_model(few.texts, config, check.device, shortlister)
    yield from _steps(check, StageRun(ranker, listed, frozen._replace(name="ranker")), 20, "ranker_a_quarter_")


def predict_131k(check: Check) -> Iterator[Figures]:
    """Titles to their best labels, of an untrained model, against all scores in float64."""
    yield from _predict(check, Shape.LF_AMAZON_TITLES_131K)


def predict_1_3m(check: Check) -> Iterator[Figures]:
    """The same over 1.3 million labels."""
    yield from _predict(check, Shape.LF_AMAZON_TITLES_1_3M)


def _predict(check: Check, shape: Shape) -> Iterator[Figures]:
    texts = data_of(shape, check.scale).texts.without_points()
    ensemble = Ensemble([Member(Trained(fresh_model(texts, ECLAREConfig(), check.device).eval(), texts))])
    labels = texts.labels_LV.shape[0]
    questions = titles(QUERIES, labels, seed=9)[: check.scaled(QUERIES, least=JUDGED)]
    start = time.perf_counter()
    classifiers_LD = ensemble.classifiers_LD
    yield {"classifiers_s": time.perf_counter() - start}
    allowed_L, top = np.ones(labels, bool), min(TOP, labels // 2)
    search_classifiers(ensemble, questions[:10], top, allowed_L)
    start = time.perf_counter()
    found = search_classifiers(ensemble, questions, top, allowed_L)[0]
    yield {"ms_a_title": 1e3 * (time.perf_counter() - start) / questions.shape[0]}
    encoded = ensemble.encode(questions[:JUDGED]).astype(np.float64)
    scores = np.hstack([encoded @ part.astype(np.float64).T for part in np.array_split(classifiers_LD, 16)])
    yield _recall(check, found[:JUDGED], np.argpartition(-scores, top, axis=1)[:, :top])


def checkpoint(check: Check) -> Iterator[Figures]:
    """What training waits for, the copy, and what a thread then writes, at the shape of 131K."""
    from eclare.model.checkpoint import Checkpoint, Progress, State

    data = data_of(Shape.LF_AMAZON_TITLES_131K, check.scale)
    run = StageRun(fresh_model(data.texts, ECLAREConfig(), check.device), data, STAGE)
    steps = run.steps(1)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    _wait(check)
    start = time.perf_counter()
    state = State.of(run.model, run.optimisers, Progress())
    yield {"copy_s": time.perf_counter() - start, "gib": sum(t.nbytes for t in state.tensors.values()) / 2**30}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        file = Checkpoint(Path(folder) / "checkpoint", "")
        file.write(state)
        yield {"write_s": time.perf_counter() - start}
        again = StageRun(fresh_model(data.texts, ECLAREConfig(), check.device), data, STAGE)
        file.read(again.model, again.optimisers)
        mine, its = run.model.state_dict(), again.model.state_dict()
        if not all(torch.equal(mine[name], its[name]) for name in mine):
            check.wrong.append("a checkpoint that was read is not the model")


def tests(check: Check) -> Iterator[Figures]:
    """The tests of the device, in a process of their own; files whose packages are missing are left out."""
    on_cpu = () if check.on_gpu else ("faiss",)
    needs = {
        "exact_index": ("pytest",),
        "device_batches": ("pytest", "tqdm", *on_cpu),
        "training": ("pytest", "tqdm", *on_cpu),
    }
    missing = {name: [each for each in of if not is_there(each)] for name, of in needs.items()}
    yield {f"test_{name}": f"left out without {', '.join(of)}" for name, of in missing.items() if of}
    files = [f"tests/eclare/model/test_{name}.py" for name, of in missing.items() if not of]
    if not files:
        raise ImportError("pytest is not here")
    options = ["--noconftest", "-q", "-p", "no:cacheprovider", "-k", check.device.type]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        cwd=ROOT, capture_output=True, text=True, timeout=max(1.0, check.seconds_left()), check=False,
    )  # fmt: skip
    away = re.search(r"No module named '?([\w.]+)", run.stdout + run.stderr)
    if run.returncode and away:
        raise ImportError(f"the tests need {away[1]}")
    lines = (run.stdout or run.stderr).strip().splitlines()
    if run.returncode:
        check.wrong.append(f"pytest ended with {run.returncode}")
    yield {"pytest": lines[-1] if lines else "said nothing"}


PARTS: dict[str, Callable[[Check], Iterator[Figures]]] = {
    part.__name__: part
    for part in (
        libraries, results, search, train_131k, checkpoint, predict_131k, paper_131k, train_1_3m, predict_1_3m, tests
    )
}  # fmt: skip
