"""Titles as a sentence encoder reads them, kept in the storage by encoder and title: a night encodes new ones only."""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.errors import BadInput
from tasks.model_config import SENTENCES
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

if TYPE_CHECKING:
    from eclare.model.sentence_encoder import SentenceEncoder

FILE = "vectors.npz"


def write_sentences(
    folder: Path, titles: Sequence[str], paired_P: npt.NDArray[np.bool_], settings: Settings
) -> dict[str, float]:
    """Write sentences.npz: the vectors of P titles, and which products with a pair have like ones; returns counts.

    Raises BadInput where TEXT_ENCODER cannot be used.
    """
    from eclare.model.distributed import choose_device
    from eclare.model.sentence_encoder import SentenceEncoder
    from eclare.related.like_sentences import ProductSentences

    device = choose_device("auto")  # this step may run on another worker than the one with a GPU
    try:
        encoder = SentenceEncoder.of(settings.text_encoder or "", device)
    except ValueError as error:
        raise BadInput(str(error)) from error
    vectors_PE, new = vectors_of(titles, encoder, Storage(settings.storage_url))
    like_PP = ProductSentences.of(vectors_PE.astype(np.float32), paired_P, device).like_PP
    arrays = {"data": like_PP.data, "indices": like_PP.indices, "indptr": like_PP.indptr}
    np.savez(folder / SENTENCES, vectors_PE=vectors_PE, allow_pickle=False, **arrays)
    return {"titles_encoded": new}


def vectors_of(
    titles: Sequence[str], encoder: "SentenceEncoder", storage: Storage
) -> tuple[npt.NDArray[np.float16], int]:
    """The vector of every title, P x E float16, and how many of them were not in the storage before.

    New ones are added as a part of their own, named after its titles: whole or not at all, and the same again where two
    nights add them at once.
    """
    hashes_P, row_of_P = np.unique(np.array([_hash(title) for title in titles], "S32"), return_inverse=True)
    title_of = dict(zip(row_of_P.tolist(), titles, strict=True))
    place = f"title_vectors/encoder={encoder.fingerprint[:16]}"
    vectors, is_known = _stored(storage, place, hashes_P)
    new = np.flatnonzero(~is_known)
    if len(new):
        encoded = encoder.encode([title_of[row] for row in new.tolist()]).astype(np.float16)
        part = hashlib.sha256(hashes_P[new].tobytes()).hexdigest()[:16]
        sources = {"encoder": encoder.fingerprint}
        with storage.write(f"{place}/part={part}", sources=sources) as (folder, counts):
            np.savez(folder / FILE, hashes=hashes_P[new], vectors=encoded, allow_pickle=False)
            counts["titles"] = len(new)
        vectors = np.zeros((len(hashes_P), encoded.shape[1]), np.float16) if vectors is None else vectors
        vectors[new] = encoded
    if vectors is None:
        raise BadInput("a catalogue must hold a title for TEXT_ENCODER to read, got none: ingest the catalogue again")
    return vectors[row_of_P], len(new)


def _stored(
    storage: Storage, place: str, hashes_P: npt.NDArray[np.bytes_]
) -> tuple[npt.NDArray[np.float16] | None, npt.NDArray[np.bool_]]:
    """The vectors that earlier nights have left, in the order of these hashes, and which of them there are."""
    vectors, is_known = None, np.zeros(len(hashes_P), bool)
    for path in sorted(storage.files.glob(f"{storage.root}/{place}/part=*")):
        part = f"{place}/{PurePosixPath(path).name}"
        if not storage.complete(part):
            continue
        with storage.open(storage.read(part)) as folder, np.load(folder / FILE, allow_pickle=False) as file:
            hashes = file["hashes"]
            rows = np.searchsorted(hashes_P, hashes)
            wanted = hashes_P[np.minimum(rows, len(hashes_P) - 1)] == hashes
            found = file["vectors"][wanted]
            vectors = np.zeros((len(hashes_P), found.shape[1]), np.float16) if vectors is None else vectors
            vectors[rows[wanted]] = found
            is_known[rows[wanted]] = True
    return vectors, is_known


def _hash(title: str) -> bytes:
    return hashlib.sha256(title.encode()).hexdigest()[:32].encode()
