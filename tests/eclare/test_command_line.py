"""`eclare evaluate` beside figures of the project's reference for the repository's metrics, frozen."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from typer.testing import CliRunner

from eclare.__main__ import app
from eclare.xc.formats import write_sparse

TRAINING = np.array(
    [
        [1, 1, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1],
        [1, 0, 1, 0, 0],
        [1, 0, 0, 0, 0],
    ]
)
TRUTH = np.array([[1, 1, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1], [1, 1, 0, 0, 0]])
EXCLUDED = np.array([[2, 2], [5, 0], [5, 1], [0, 0], [4, 3]])  # all that is true of the points 2 and 5, among others
RANKED = np.array([[0, 1, 2, 4], [2, 1, 0, 3], [2, 0, 1, 3], [3, 0, 4, 1], [3, 0, 1, 4], [0, 1, 2, 3]])
# Computed once by shared/peers/xc_metrics.py: evaluate(drop_pairs(SCORES, EXCLUDED), drop_pairs(TRUTH, EXCLUDED),
# TRAINING, ks=(1, 3), recall_k=3), which leaves the points 2 and 5 out.
LEFT_OUT = {"P@1": 50.0, "P@3": 50.0, "PSP@1": 48.28075248, "PSP@3": 85.71784085, "recall@3": 87.5}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The made case as bags of words, with predictions."""
    for name, matrix in (
        ("trn_X_Y", TRAINING),
        ("tst_X_Y", TRUTH),
        ("trn_X_Xf", np.eye(7)),
        ("lbl_X_Xf", np.eye(5, 7)),
    ):
        write_sparse(tmp_path / f"{name}.txt", sp.csr_matrix(matrix.astype(np.float32)))
    (tmp_path / "filter_labels_test.txt").write_text("".join(f"{point} {label}\n" for point, label in EXCLUDED))
    scores = np.zeros(TRUTH.shape)
    np.put_along_axis(scores, RANKED, np.arange(5, 1, -1, dtype=float)[None, :], axis=1)
    sp.save_npz(tmp_path / "predictions.npz", sp.csr_matrix(scores))
    return tmp_path


def figures(data: Path, *options: str) -> dict[str, float]:
    words = ["evaluate", "--data", str(data), "--predictions", str(data / "predictions.npz"), "--json", *options]
    ended = CliRunner().invoke(app, words, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    found: dict[str, float] = json.loads(ended.output)
    return found


def test_points_whose_truth_the_filter_emptied_count_as_zero_as_the_authors_do(data: Path) -> None:
    """The same sums over all 6 points instead of 4; PSP, a ratio of two sums, stays."""
    as_authors = {name: value * (1 if name.startswith("PSP") else 4 / 6) for name, value in LEFT_OUT.items()}
    found = figures(data)
    assert {name: found[name] for name in as_authors} == pytest.approx(as_authors, abs=0.005)
    assert found["nDCG@1"] == found["P@1"]


def test_they_can_be_left_out(data: Path) -> None:
    found = figures(data, "--without-empty")
    assert {name: found[name] for name in LEFT_OUT} == pytest.approx(LEFT_OUT, abs=0.005)
