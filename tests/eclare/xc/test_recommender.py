import json
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
from eclare.model.config import ECLAREConfig
from eclare.xc.co_clicks import bonus_of
from eclare.xc.recommender import Recommender
from tests.made_shops import Shop, shop_of_groups

CONFIG = ECLAREConfig(embedding_dim=32, epochs=20, batch_size=32, negatives_per_batch=32, learning_rate=0.01)
QUICK = ECLAREConfig(embedding_dim=4, epochs=1, walk_length=20)


def fit(shop: Shop, config: ECLAREConfig = CONFIG) -> Recommender:
    return Recommender.fit(
        shop.titles, shop.titles, shop.clicks.weights_NL, config, label_ids=shop.clicks.label_ids_L.tolist()
    )


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


def test_one_title_is_answered_like_many() -> None:
    shop = shop_of_groups()
    recommender = fit(shop)
    labels, scores = recommender.predict(shop.titles[:7], 6)
    for row, title in enumerate(shop.titles[:7]):
        one = recommender.recommend(title, 6)
        assert [answer.label_id for answer in one] == shop.clicks.label_ids_L[labels[row]].tolist()
        assert [answer.score for answer in one] == pytest.approx(scores[row].tolist(), abs=1e-4)


def test_scores_are_the_model_plus_the_evidence_over_every_label() -> None:
    shop = shop_of_groups(groups=4)
    recommender = fit(shop)
    features = recommender.vocabulary.features(shop.titles)
    slowly = recommender.ensemble.encode(features) @ recommender.ensemble.classifiers_LD.T
    slowly += bonus_of(recommender.evidence.co_clicks(features), CONFIG).toarray()
    _, scores = recommender.predict(shop.titles, 9)
    assert np.allclose(scores, -np.sort(-slowly, axis=1)[:, :9], atol=1e-4)


def test_a_saved_recommender_answers_the_same_and_names_what_it_was_made_from(tmp_path) -> None:
    shop = shop_of_groups(groups=3)
    recommender = fit(shop)
    for _ in range(2):  # over an older one too
        recommender.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.recommend(shop.titles[0]) == recommender.recommend(shop.titles[0])
    manifest = json.loads((tmp_path / "model/manifest.json").read_text())
    assert manifest["seed"] == CONFIG.seed and len(manifest["data_hash"]) == len(manifest["config_hash"]) == 64
    assert manifest["versions"]["torch"] == version("torch")
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
        Recommender.fit(features, features, sp.identity(3, np.float32, format="csr"), QUICK)


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


@settings(max_examples=15, deadline=None)
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
    recommender = Recommender.fit([*point_titles[:-1], "word"], label_titles, clicks, QUICK)
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
    (tmp_path / "config.json").write_text('{"embedding_dim": 32, "epochs": 20, "learning_rate": 0.01}')
    run("fit", "--data", data, "--model", tmp_path / "model", "--config", tmp_path / "config.json")
    run("predict", "--model", tmp_path / "model", "--data", data / test, "--out", tmp_path / "p.npz", "--top-k", 20)
    figures = json.loads(run("evaluate", "--data", data, "--predictions", tmp_path / "p.npz", "--json"))
    assert figures["P@1"] > 45  # six of twelve in the group are true: chance in the group is 50, overall 13
    assert "nDCG" in run("evaluate", "--data", data, "--predictions", tmp_path / "p.npz")


def test_the_command_line_ends_with_one_line_where_the_user_can_mend_it(tmp_path) -> None:
    done = CliRunner().invoke(app, ["fit", "--data", str(tmp_path), "--model", str(tmp_path / "m")])
    assert done.exit_code == 1
    assert "must hold trn.json.gz" in done.output and "Traceback" not in done.output
    assert not (tmp_path / "m").exists()
