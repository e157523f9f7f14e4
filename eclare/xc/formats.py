"""The Extreme Classification Repository's two layouts: titles as JSON lines, or bags of words as sparse text."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.strings import Strings, strings

TitlesOrFeatures: TypeAlias = list[str] | sp.csr_matrix  # titles, or points x features
Entries = npt.NDArray[np.int64]  # (point, label) rows, E x 2


class Malformed(ValueError):
    """A file that is not what its layout promises; says the file, the line and what was expected."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """N points, L labels and the clicks between them.

    points, labels: titles, or features over one vocabulary; clicks_NL: CSR float32; label_ids_L: uid, or row number.
    """

    points: TitlesOrFeatures
    labels: TitlesOrFeatures
    clicks_NL: sp.csr_matrix
    label_ids_L: Strings


def read_training(folder: Path) -> TrainingSet:
    """Read trn.json.gz and lbl.json.gz, or trn_X_Xf.txt, trn_X_Y.txt and lbl_X_Xf.txt (also called Yf.txt).

    Raises Malformed, naming file and line; FileNotFoundError where the folder has neither layout.
    """
    if layout_of(folder) == "raw":
        label_rows = _json_lines(_raw(folder, "lbl"))
        labels = [_title(line) for line in label_rows]
        points, clicks = _titles_and_targets(_raw(folder, "trn"), len(labels))
        return TrainingSet(points, labels, clicks, strings(str(line.row.get("uid", line.at)) for line in label_rows))
    features, clicks_NL = (read_sparse(folder / f"trn_X_{name}.txt") for name in ("Xf", "Y"))
    label_features = read_sparse(_label_features(folder))
    _check_same("rows", folder / "trn_X_Xf.txt", features.shape[0], folder / "trn_X_Y.txt", clicks_NL.shape[0])
    _check_same("labels", _label_features(folder), label_features.shape[0], folder / "trn_X_Y.txt", clicks_NL.shape[1])
    _check_same(
        "features", folder / "trn_X_Xf.txt", features.shape[1], _label_features(folder), label_features.shape[1]
    )
    ids = strings(map(str, range(label_features.shape[0])))
    return TrainingSet(features, label_features, clicks_NL, ids)


def read_points(file: Path) -> TitlesOrFeatures:
    """Titles of tst.json.gz, or features of tst_X_Xf.txt; raises Malformed."""
    return read_sparse(file) if file.suffix == ".txt" else [_title(line) for line in _json_lines(file)]


def test_file(folder: Path) -> Path:
    """Where a data set keeps its test points, in either layout."""
    if layout_of(folder) == "raw":
        return _raw(folder, "tst")
    return folder / "tst_X_Xf.txt"


def read_truth(folder: Path, labels: int) -> tuple[sp.csr_matrix, Entries]:
    """Which labels the test points were clicked with, and the excluded (point, label) entries, E x 2.

    Excluded are those of filter_labels_test.txt (a product itself and labels whose own points clicked it); the truth
    is returned without them. Raises Malformed.
    """
    if layout_of(folder) == "raw":
        truth = _titles_and_targets(_raw(folder, "tst"), labels)[1]
    else:
        truth = read_sparse(folder / "tst_X_Y.txt")
        _check_same("labels", folder / "tst_X_Y.txt", truth.shape[1], folder / "trn_X_Y.txt", labels)
    excluded = _excluded(folder / "filter_labels_test.txt", truth.shape)
    return drop_excluded(truth, excluded), excluded


def drop_excluded(matrix: sp.csr_matrix, excluded: Entries) -> sp.csr_matrix:
    """The same matrix without these (row, column) entries."""
    coo = matrix.tocoo()
    key = coo.row.astype(np.int64) * matrix.shape[1] + coo.col
    kept = ~np.isin(key, excluded[:, 0] * matrix.shape[1] + excluded[:, 1])
    return sp.csr_matrix((coo.data[kept], (coo.row[kept], coo.col[kept])), shape=matrix.shape)


def layout_of(folder: Path) -> str:
    """ "raw" or "bag-of-words"; raises FileNotFoundError where the folder is neither."""
    if any((folder / name).exists() for name in ("trn.json.gz", "trn.json")):
        return "raw"
    if (folder / "trn_X_Xf.txt").exists():
        return "bag-of-words"
    raise FileNotFoundError(
        f"{folder} must hold trn.json.gz, tst.json.gz and lbl.json.gz, or trn_X_Xf.txt, trn_X_Y.txt and lbl_X_Xf.txt "
        "(the Extreme Classification Repository's layouts), and holds neither: point --data at the unpacked data set"
    )


def read_sparse(file: Path) -> sp.csr_matrix:
    """A matrix in the repository's text format: "rows columns", then a line a row of "column:value"; CSR float32."""
    with _open(file) as lines:
        rows, columns = _parsed(
            file, 1, next(iter(lines), ""), lambda line: tuple(map(int, line.split())), "two counts", length=2
        )
        indices: list[int] = []
        data: list[float] = []
        indptr = [0]
        for number, line in enumerate(lines, start=2):
            entries = _parsed(file, number, line, _entries, 'entries "column:value"')
            wrong = [column for column, _ in entries if not 0 <= column < columns]
            if wrong:
                raise Malformed(f"{file}:{number}: columns must lie in 0..{columns - 1}, got {wrong[0]}")
            indices += [column for column, _ in entries]
            data += [value for _, value in entries]
            indptr.append(len(indices))
    if len(indptr) - 1 != rows:
        raise Malformed(f"{file}:1 promises {rows} rows, the file has {len(indptr) - 1}: is it cut short?")
    matrix = sp.csr_matrix((np.array(data, np.float32), np.array(indices, np.int32), indptr), shape=(rows, columns))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def write_sparse(file: Path, matrix: sp.csr_matrix) -> None:
    """Write what `read_sparse` reads."""
    with file.open("w") as out:
        print(*matrix.shape, file=out)
        for start, end in zip(matrix.indptr, matrix.indptr[1:], strict=False):
            row = zip(matrix.indices[start:end], matrix.data[start:end], strict=True)
            print(" ".join(f"{column}:{value:.9g}" for column, value in row), file=out)


@dataclass(frozen=True)
class _Line:
    file: Path
    number: int
    row: dict[str, Any]

    @property
    def at(self) -> str:
        return f"{self.file}:{self.number}"


def _raw(folder: Path, name: str) -> Path:
    plain = folder / f"{name}.json"
    return plain if plain.exists() else folder / f"{name}.json.gz"


def _label_features(folder: Path) -> Path:
    return folder / "lbl_X_Xf.txt" if (folder / "lbl_X_Xf.txt").exists() else folder / "Yf.txt"


def _open(file: Path) -> Any:
    return gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8")


def _json_lines(file: Path) -> list[_Line]:
    def checked(line: str) -> dict[str, Any]:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise TypeError("not an object")
        return row

    found, number = [], 0
    try:
        with _open(file) as lines:
            for number, line in enumerate(lines, start=1):
                found.append(_Line(file, number, _parsed(file, number, line, checked, "a JSON object")))
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise Malformed(f"{file}:{number + 1}: must be UTF-8 text, gzipped where it ends in .gz: {error}") from error
    return found


def _title(line: _Line) -> str:
    title = line.row.get("title")
    if not isinstance(title, str):
        raise Malformed(f'{line.at}: must have a string "title", got {title!r}')
    return title


def _titles_and_targets(file: Path, labels: int) -> tuple[list[str], sp.csr_matrix]:
    lines = _json_lines(file)
    targets = [_targets(line, labels) for line in lines]
    indptr = np.cumsum([0, *map(len, targets)])
    indices = np.fromiter((label for row in targets for label, _ in row), np.int32, indptr[-1])
    weights = np.fromiter((weight for row in targets for _, weight in row), np.float32, indptr[-1])
    clicks = sp.csr_matrix((weights, indices, indptr), shape=(len(lines), labels))
    clicks.sum_duplicates()
    return [_title(line) for line in lines], clicks


def _targets(line: _Line, labels: int) -> list[tuple[int, float]]:
    targets = line.row.get("target_ind")
    if not isinstance(targets, list):
        raise Malformed(f'{line.at}: must have a list "target_ind" of label rows, got {targets!r}')
    weights = line.row.get("target_rel", [1.0] * len(targets))
    if len(weights) != len(targets):
        raise Malformed(f"{line.at}: target_rel must be as long as target_ind ({len(targets)}), got {len(weights)}")
    for label in targets:
        if not (isinstance(label, int) and 0 <= label < labels):
            raise Malformed(f"{line.at}: target_ind must hold label rows 0..{labels - 1}, got {label!r}")
    for weight in weights:
        if not (isinstance(weight, int | float) and np.isfinite(weight) and weight >= 0):
            raise Malformed(f"{line.at}: target_rel must hold numbers of at least 0, got {weight!r}")
    return [(label, weight) for label, weight in zip(targets, weights, strict=True) if weight > 0]


def _excluded(file: Path, shape: tuple[int, int]) -> Entries:
    if not file.exists():
        return np.zeros((0, 2), np.int64)
    with _open(file) as lines:
        found = [
            _parsed(
                file, number, line, lambda text: tuple(map(int, text.split())), "a test row and a label row", length=2
            )
            for number, line in enumerate(lines, start=1)
        ]
    excluded = np.array(found, dtype=np.int64).reshape(-1, 2)
    outside = np.flatnonzero(((excluded < 0) | (excluded >= np.array(shape))).any(axis=1))
    if len(outside):
        raise Malformed(
            f"{file}:{outside[0] + 1}: there are {shape[0]} test rows and {shape[1]} labels, got {excluded[outside[0]]}"
        )
    return excluded


def _entries(line: str) -> list[tuple[int, float]]:
    return [(int(column), float(value)) for column, value in (entry.split(":") for entry in line.split())]


def _parsed(file: Path, number: int, line: str, parse: Callable[[str], Any], expected: str, *, length: int = 0) -> Any:
    try:
        parsed = parse(line)
        if length and len(parsed) != length:
            raise ValueError(f"{len(parsed)} of them")
    except (ValueError, TypeError) as error:
        raise Malformed(f"{file}:{number}: expected {expected}, got {line.strip()[:60]!r} ({error})") from error
    return parsed


def _check_same(what: str, file: Path, seen: int, other: Path, expected: int) -> None:
    if seen != expected:
        raise Malformed(f"{file} has {seen} {what}, {other} has {expected}: both must describe the same data set")
