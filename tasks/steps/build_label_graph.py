"""Titles become TF-IDF, and training clicks become the label correlation graph."""

import pyarrow.parquet as pq
import scipy.sparse as sp

from eclare.model.label_graph import build_label_graph as walk_label_graph
from eclare.model.word_parts import vocabulary_for
from eclare.related.like_titles import like_titles
from tasks.model_config import LIKE_TITLES, load_cooccurrence, read_config, targets_of
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.title_vectors import write_sentences


def build_label_graph(night: Night, settings: Settings) -> dict[str, float]:
    """Walk the label graph of the night's training clicks and weigh the words of its titles, and parts where they help.

    Writes label_graph.npz, vocabulary.npz, titles.npz (products x tokens) and like_titles.npz, which each step that
    ranks, and each shard, would else find anew. With TEXT_ENCODER also sentences.npz, from vectors that earlier nights
    have left in the storage and those of new titles. Raises BadInput for a config or an encoder that cannot work.
    """
    storage, config = Storage(settings.storage_url), read_config(settings)
    interactions = storage.read(night.artefact("interactions"))
    with (
        storage.open(interactions) as inputs,
        storage.write(night.artefact("label_graph"), made_from=[interactions]) as (folder, counts),
    ):
        titles = pq.read_table(inputs / "products.parquet", columns=["title"])["title"].to_pylist()
        cooccurrence = load_cooccurrence(inputs)
        targets_PP = targets_of(cooccurrence.until(night.held_out_days), settings)
        vocabulary, parts = vocabulary_for(titles, titles, targets_PP, config)
        vocabulary.save(folder)
        titles_PV = vocabulary.features(titles)
        sp.save_npz(folder / "titles.npz", titles_PV)
        sp.save_npz(folder / LIKE_TITLES, like_titles(titles_PV, cooccurrence.paired()), compressed=False)
        graph = walk_label_graph(targets_PP, config)
        graph.save(folder)
        labels = graph.edges_LL.shape[0]
        if settings.text_encoder:
            counts |= write_sentences(folder, titles, cooccurrence.paired(), settings)
        counts |= {"labels": labels, "edges": graph.edges_LL.nnz - labels, "tokens": len(vocabulary.tokens_V)}
        counts |= parts.described
    return counts
