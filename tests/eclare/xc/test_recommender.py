import json
from dataclasses import asdict, replace
from importlib.metadata import version

import numba
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from eclare.__main__ import app
from eclare.arrays.topk import PAD
from eclare.model.config import PRESETS, ECLAREConfig
from eclare.model.loss_curve import plot_losses
from eclare.ranker import Ranker
from eclare.xc.candidates import co_click_bonus
from eclare.xc.config import RecommenderConfig
from eclare.xc.features import FEATURES
from eclare.xc.recommender import Recommender
from tests.made_shops import Shop, shop_of_groups

CONFIG = ECLAREConfig(embedding_dim=32, epochs=20, batch_size=32, negatives_per_batch=32, learning_rate=0.01)
QUICK = ECLAREConfig(embedding_dim=4, epochs=1, walk_length=20)


def fit(shop: Shop, config: ECLAREConfig = CONFIG) -> Recommender:
    ids, wanted = shop.clicks.label_ids_L.tolist(), RecommenderConfig.of(asdict(config))
    return Recommender.fit(shop.titles, shop.titles, shop.clicks.weights_NL, wanted, label_ids=ids)


def test_a_title_gets_products_of_its_group_and_reasons() -> None:
    shop = shop_of_groups()
    recommender = fit(shop)
    found = recommender.recommend("theme3 kind3 something new", k=5)
    group_of = dict(zip(shop.clicks.label_ids_L.tolist(), shop.group_of_P.tolist(), strict=True))
    assert [group_of[one.label_id] for one in found] == [3] * 5
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        assert set(one.attention) == {"text", "graph", "refinement"}
        assert sum(one.attention.values()) == pytest.approx(1)
        assert one.label_id not in one.neighbours
        assert all(group_of[label] == 3 for label in one.neighbours)
    assert any(one.co_clicks > 0 and one.similar for one in found)


def some_ranker() -> Ranker:
    torch.manual_seed(0)
    return Ranker(list(FEATURES), torch.zeros(len(FEATURES)), torch.ones(len(FEATURES)))


@pytest.mark.parametrize("kind", ["ranker", "no ranker", "clusters"])
def test_one_title_is_answered_like_many(kind) -> None:
    shop = shop_of_groups()
    clusters = replace(ECLAREConfig.preset("paper-131k"), embedding_dim=8, ensemble=2, epochs=2, surrogate_epochs=2)
    recommender = fit(shop, clusters if kind == "clusters" else CONFIG)
    if kind == "ranker":
        recommender = replace(recommender, ranker=some_ranker())
    titles = [*shop.titles[:7], "nothing known"]
    labels, scores = recommender.predict(titles, 6)
    assert kind == "clusters" or (labels != PAD).all()
    for row, title in enumerate(titles):
        found, there = recommender.recommend(title, 6), labels[row] != PAD
        assert [answer.label_id for answer in found] == shop.clicks.label_ids_L[labels[row][there]].tolist()
        assert [answer.score for answer in found] == pytest.approx(scores[row][there].tolist(), abs=1e-4)


def test_scores_are_the_model_plus_the_co_click_bonus_over_every_label() -> None:
    shop = shop_of_groups(groups=4)
    recommender = fit(shop)
    features = recommender.vocabulary.features(shop.titles)
    slowly = recommender.ensemble.encode(features) @ recommender.ensemble.classifiers_LD.T
    co_clicks = recommender.co_clicks
    co_clicked = sp.csr_matrix(co_clicks.scores(co_clicks.similar_labels(features))[::-1], shape=slowly.shape)
    slowly += co_click_bonus(co_clicked.toarray(), 0.5)
    labels, scores = recommender.predict(shop.titles, 9)
    assert np.allclose(scores, -np.sort(-slowly, axis=1)[:, :9], atol=1e-4)
    assert np.allclose(scores, np.take_along_axis(slowly, labels, axis=1), atol=1e-4)


@pytest.mark.parametrize("ranker", [None, some_ranker()])
def test_rows_end_with_nothing_where_there_are_fewer_labels(ranker) -> None:
    shop = shop_of_groups(groups=1, products_per_group=8)
    recommender = replace(fit(shop, QUICK), ranker=ranker)
    labels, scores = recommender.predict(shop.titles, 10)
    assert (np.sort(labels[:, :8], axis=1) == np.arange(8)).all()
    assert (labels[:, 8:] == PAD).all() and (scores[:, 8:] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_learns_the_groups_and_is_saved(tmp_path, preset) -> None:
    shop = shop_of_groups(groups=4)
    config = RecommenderConfig.preset(preset)
    model = replace(config.model, embedding_dim=32, batch_size=16, ensemble=min(config.model.ensemble, 2))
    config = replace(config, model=model)
    fitted = Recommender.fit(shop.titles, shop.titles, shop.clicks.weights_NL, config)
    labels, _ = fitted.predict(shop.titles, 5)
    assert (shop.group_of_P[labels] == shop.group_of_P[:, None]).mean() > 0.8
    fitted.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.config == config
    assert np.array_equal(loaded.predict(shop.titles, 5)[0], labels)


def test_a_saved_recommender_answers_the_same_and_names_what_it_was_made_from(tmp_path) -> None:
    shop = shop_of_groups(groups=3)
    recommender = replace(fit(shop), ranker=some_ranker())
    for _ in range(2):  # over an older one too
        recommender.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.recommend(shop.titles[0]) == recommender.recommend(shop.titles[0])
    assert loaded.config == recommender.config == RecommenderConfig.load(tmp_path / "model/config.json")
    assert ECLAREConfig.load(tmp_path / "model/member_1/config.json") == CONFIG
    manifest = json.loads((tmp_path / "model/manifest.json").read_text())
    assert manifest["seed"] == CONFIG.seed and len(manifest["data_hash"]) == len(manifest["config_hash"]) == 64
    assert manifest["versions"]["torch"] == version("torch")
    assert manifest["word_parts"] == 0 and loaded.parts.described == {"word_parts": 0}
    assert not [file for file in (tmp_path / "model").iterdir() if file.suffix in (".pkl", ".pt")]


def test_a_file_that_changed_and_a_folder_without_a_model_are_refused(tmp_path) -> None:
    fit(shop_of_groups(groups=2), QUICK).save(tmp_path / "model")
    with (tmp_path / "model/label_ids.npz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"label_ids.npz is not the file that fit wrote"):
        Recommender.load(tmp_path / "model")
    with pytest.raises(FileNotFoundError, match=r"manifest.json: it must be the folder that fit wrote"):
        Recommender.load(tmp_path)


@pytest.mark.parametrize("number", [-1.0, np.nan])
def test_features_that_no_text_can_have_are_refused(number) -> None:
    features = sp.csr_matrix(np.diag([1, 1, number]).astype(np.float32))
    with pytest.raises(
        ValueError, match=f"features must be numbers of 0 or more, got {number} in row 2, column 2: correct"
    ):
        Recommender.fit(features, features, sp.identity(3, np.float32, format="csr"), RecommenderConfig(QUICK))


def test_features_with_a_stored_zero_are_read_and_left_as_they_are() -> None:
    data, columns, starts = np.array([0.0, 3, 4, 1, 1], np.float32), np.array([0, 1, 2, 0, 1]), np.array([0, 3, 4, 5])
    stored = sp.csr_matrix((data, columns, starts), shape=(3, 3))
    given, clean = stored.copy(), sp.csr_matrix(stored.toarray())
    clicks = sp.identity(3, np.float32, format="csr")
    found = [Recommender.fit(each, each, clicks, RecommenderConfig(QUICK)).predict(each, 2) for each in (given, clean)]
    assert all(map(np.array_equal, *found))
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(given, name), getattr(stored, name))


@pytest.mark.parametrize("views", [("use_graph",), ("use_label_text",), ("use_refinement",), ("use_attention",)])
def test_every_ablation_learns_and_explains_itself(views) -> None:
    config = ECLAREConfig(embedding_dim=32, epochs=10, batch_size=32, learning_rate=0.01, **dict.fromkeys(views, False))
    shop = shop_of_groups(groups=4)
    found = fit(shop, config).recommend("theme2 kind2", 4)
    group_of = dict(zip(shop.clicks.label_ids_L.tolist(), shop.group_of_P.tolist(), strict=True))
    assert [group_of[one.label_id] for one in found] == [2] * 4
    assert sum(found[0].attention.values()) == pytest.approx(1)
    assert set(found[0].attention) == set(config.views)


def test_paper_weighting_forgets_how_heavy_clicks_are() -> None:
    shop = shop_of_groups(groups=2)
    heavier = Shop(shop.titles, shop.clicks, shop.group_of_P)
    light = fit(heavier, ECLAREConfig(embedding_dim=8, epochs=2, weighting="paper"))
    shop.clicks.weights_NL.data[:] = np.arange(1, len(shop.clicks.weights_NL.data) + 1)
    again = fit(shop, ECLAREConfig(embedding_dim=8, epochs=2, weighting="paper"))
    assert np.array_equal(light.predict(shop.titles, 5)[1], again.predict(shop.titles, 5)[1])


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_any_shape_that_has_one_click_and_one_word_is_answered(points, labels, data) -> None:
    words = st.sampled_from(["", "tea", "tea tea", "Tee ☕ ü", "kettle mug", "日本 茶"])
    point_titles = data.draw(st.lists(words, min_size=points, max_size=points))
    label_titles = data.draw(st.lists(words, min_size=labels, max_size=labels))
    clicks = sp.csr_matrix(
        ([1.0], ([data.draw(st.integers(0, points - 1))], [data.draw(st.integers(0, labels - 1))])),
        shape=(points, labels),
        dtype=np.float32,
    )
    recommender = Recommender.fit([*point_titles[:-1], "word"], label_titles, clicks, RecommenderConfig(QUICK))
    for title in ("", "unseen", "word " * 100_000):
        assert len(recommender.recommend(title, 3)) == min(3, labels)


def test_the_answer_does_not_depend_on_the_number_of_threads() -> None:
    shop, threads = shop_of_groups(groups=4), (torch.get_num_threads(), numba.get_num_threads())
    try:
        found = []
        for number in (1, 2):
            torch.set_num_threads(number)
            numba.set_num_threads(min(number, threads[1]))
            found.append(fit(shop, ECLAREConfig(embedding_dim=32, epochs=3)).predict(shop.titles, 8))
    finally:
        torch.set_num_threads(threads[0])
        numba.set_num_threads(threads[1])
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


def write_data_set(folder) -> None:
    shop = shop_of_groups(groups=4)
    clicks = shop.clicks.weights_NL
    rows = [
        {"uid": f"P{p}", "title": title, "target_ind": clicks[p].indices.tolist()}
        for p, title in enumerate(shop.titles)
    ]
    files = {"trn": [row for row in rows if row["target_ind"]][::2], "tst": [r for r in rows if r["target_ind"]][1::2]}
    files["lbl"] = [{"uid": row["uid"], "title": row["title"]} for row in rows]
    folder.mkdir()
    for name, lines in files.items():
        (folder / f"{name}.json").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["raw", "bag-of-words"])
def test_the_command_line_fits_predicts_and_evaluates(tmp_path, layout) -> None:
    def run(*words: object) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        return done.output

    data, test = tmp_path / "raw", "tst.json"
    write_data_set(data)
    if layout == "bag-of-words":
        run("convert", "--data", data, "--out", tmp_path / "bags")
        data, test = tmp_path / "bags", "tst_X_Xf.txt"
    (tmp_path / "config.json").write_text(
        '{"embedding_dim": 32, "epochs": 20, "learning_rate": 0.01, "co_click_weight": 1}'
    )
    run("fit", "--data", data, "--model", tmp_path / "model", "--config", tmp_path / "config.json")
    again = tmp_path / "again"
    run(
        "fit",
        "--data",
        data,
        "--model",
        again,
        "--config",
        tmp_path / "config.json",
        "--warm-start",
        tmp_path / "model",
    )
    assert Recommender.load(again).config == Recommender.load(tmp_path / "model").config
    run("predict", "--model", tmp_path / "model", "--data", data / test, "--out", tmp_path / "p.npz", "--top-k", 20)
    figures = json.loads(run("evaluate", "--data", data, "--predictions", tmp_path / "p.npz", "--json"))
    assert figures["P@1"] > 45  # six of twelve in the group are true: chance in the group is 50, overall 13
    assert "nDCG" in run("evaluate", "--data", data, "--predictions", tmp_path / "p.npz")


def test_the_command_line_ends_with_one_line_where_the_user_can_mend_it(tmp_path) -> None:
    done = CliRunner().invoke(app, ["fit", "--data", str(tmp_path), "--model", str(tmp_path / "m")])
    assert done.exit_code == 1
    assert "must hold trn.json.gz" in done.output and "Traceback" not in done.output
    assert not (tmp_path / "m").exists()


@given(points=st.integers(1, 6), labels=st.integers(1, 7), seed=st.integers(0, 5))
@settings(max_examples=12)
def test_the_paper_works_from_one_point_and_one_label_on(points, labels, seed) -> None:
    random = np.random.default_rng(seed)
    dense = random.integers(0, 3, (points, labels)).astype(np.float32)
    dense[0, 0] = 1
    words = ["alpha", "beta", "", "gamma delta"]
    titles = [[words[random.integers(4)] for _ in range(count)] for count in (points, labels)]
    titles[0][0] = "alpha"
    paper = ECLAREConfig.preset("paper-131k")
    model = replace(paper, epochs=1, surrogate_epochs=1, embedding_dim=4, ensemble=1, cluster_bits=0, beam=4)
    config = RecommenderConfig(model, co_click_weight=0, held_back_share=0)
    found, scores = Recommender.fit(*titles, sp.csr_matrix(dense), config).predict(titles[0], 3)
    assert found.shape == (points, 3) and np.isfinite(scores).all()
    assert ((found >= 0) & (found < labels) | (found == PAD)).all()


def test_the_history_is_kept_with_the_model_and_drawn(tmp_path) -> None:
    shop = shop_of_groups(groups=2)
    fitted = fit(shop, replace(QUICK, validation_share=0.2))
    fitted.save(tmp_path / "model")
    losses = json.loads((tmp_path / "model/training.json").read_text())
    assert [epoch["epoch"] for epoch in losses] == list(range(1, len(losses) + 1))
    assert Recommender.load(tmp_path / "model").history == list(fitted.history)
    plot_losses(fitted.history, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
