import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.xc.formats import Malformed, read_points, read_sparse, read_training, read_truth, write_sparse


def write_raw(folder: Path, *, trn: list, lbl: list, tst: list | None = None) -> Path:
    for name, rows in {"trn": trn, "lbl": lbl, "tst": tst or []}.items():
        with gzip.open(folder / f"{name}.json.gz", "wt", encoding="utf-8") as out:
            out.writelines((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    return folder


LABELS = [{"uid": "A", "title": "tea ☕"}, {"uid": "B", "title": ""}]
POINT = {"uid": "P", "title": "cup", "target_ind": [1, 0], "target_rel": [2.0, 0.0]}


def test_titles_clicks_and_ids_are_read_and_zero_relevance_is_no_click(tmp_path) -> None:
    training = read_training(write_raw(tmp_path, trn=[POINT, {"title": "tea", "target_ind": []}], lbl=LABELS))
    assert (training.points, training.labels) == (["cup", "tea"], ["tea ☕", ""])
    assert training.clicks_NL.toarray().tolist() == [[0, 2], [0, 0]]
    assert training.label_ids_L.tolist() == ["A", "B"]


def test_excluded_entries_are_taken_out_of_the_truth(tmp_path) -> None:
    test = [{"title": "x", "target_ind": [0, 1]}, {"title": "y", "target_ind": [0]}]
    write_raw(tmp_path, trn=[POINT], lbl=LABELS, tst=test)
    (tmp_path / "filter_labels_test.txt").write_text("0 1\n1 1\n")
    truth, excluded = read_truth(tmp_path, 2)
    assert truth.toarray().tolist() == [[1, 0], [1, 0]]
    assert excluded.tolist() == [[0, 1], [1, 1]]
    assert read_points(tmp_path / "tst.json.gz") == ["x", "y"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"trn.json.gz:2: expected a JSON object, got '{'"),
        ("[1]", r"trn.json.gz:2: expected a JSON object"),
        ({"target_ind": []}, r'trn.json.gz:2: must have a string "title", got None'),
        ({"title": "x"}, r'trn.json.gz:2: must have a list "target_ind"'),
        ({"title": "x", "target_ind": [2]}, r"trn.json.gz:2: target_ind must hold label rows 0..1, got 2"),
        ({"title": "x", "target_ind": ["a"]}, r"got 'a'"),
        ({"title": "x", "target_ind": [0], "target_rel": []}, r"as long as target_ind \(1\), got 0"),
        ({"title": "x", "target_ind": [0], "target_rel": [-1]}, r"numbers of at least 0, got -1"),
    ],
)
def test_a_malformed_title_file_is_refused_with_file_and_line(tmp_path, row, message) -> None:
    with pytest.raises(Malformed, match=message):
        read_training(write_raw(tmp_path, trn=[POINT, row], lbl=LABELS))


def test_a_cut_gzip_file_is_refused(tmp_path) -> None:
    folder = write_raw(tmp_path, trn=[POINT] * 5000, lbl=LABELS)
    whole = (folder / "trn.json.gz").read_bytes()
    (folder / "trn.json.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Malformed, match=r"trn.json.gz:\d+: must be UTF-8 text, gzipped"):
        read_training(folder)


def test_a_folder_without_a_data_set_says_what_it_wants(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"must hold trn.json.gz, tst.json.gz and lbl.json.gz, or trn_X_Xf.txt"):
        read_training(tmp_path)


@given(arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 5)), elements=st.floats(-8, 8, width=16)))
def test_a_sparse_file_reads_as_it_was_written(tmp_path_factory, matrix) -> None:
    file = tmp_path_factory.mktemp("sparse") / "m.txt"
    write_sparse(file, sp.csr_matrix(matrix))
    assert np.array_equal(read_sparse(file).toarray(), matrix)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"trn_X_Xf.txt:1: expected two counts"),
        ("2 x\n", r"trn_X_Xf.txt:1: expected two counts"),
        ("1 2\n0:1 5:1\n", r"trn_X_Xf.txt:2: columns must lie in 0..1, got 5"),
        ("1 2\n0;1\n", r'trn_X_Xf.txt:2: expected entries "column:value", got \'0;1\''),
        ("2 2\n0:1\n", r"trn_X_Xf.txt:1 promises 2 rows, the file has 1: is it cut short\?"),
    ],
)
def test_a_malformed_sparse_file_is_refused_with_file_and_line(tmp_path, text, message) -> None:
    (tmp_path / "trn_X_Xf.txt").write_text(text)
    with pytest.raises(Malformed, match=message):
        read_training(tmp_path)


@pytest.mark.parametrize("label_file", ["lbl_X_Xf.txt", "Yf.txt"])
def test_bags_of_words_must_describe_one_data_set(tmp_path, label_file) -> None:
    files = {"trn_X_Xf.txt": "2 3\n0:1\n2:0.5\n", "trn_X_Y.txt": "2 2\n1:1\n\n", label_file: "2 3\n1:1\n2:1\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    training = read_training(tmp_path)
    assert (training.points.shape, training.labels.shape, training.clicks_NL.shape) == ((2, 3), (2, 3), (2, 2))
    (tmp_path / label_file).write_text("1 3\n1:1\n")
    with pytest.raises(Malformed, match=r"has 1 labels, .*trn_X_Y.txt has 2"):
        read_training(tmp_path)
