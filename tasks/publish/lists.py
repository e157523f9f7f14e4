"""The lists of a night by the shop's rules, and the files that describe them beside the lists themselves."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.strings import Strings, strings
from eclare.arrays.topk import PAD
from eclare.evaluation.list_segments import (
    PageFigures,
    by_category,
    by_first_source,
    by_history,
    by_popularity,
    segment_figures,
)
from eclare.evaluation.lists import list_figures
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.list_rules import Catalogue, ListRules, Lists
from eclare.related.pair_rules import Applied, PairRules, apply_pair_rules
from eclare.related.recommendations import SOURCES, Recommendations
from eclare.related.rerank import rerank
from eclare.related.variants import Variants
from tasks.publish.histories import write_histories
from tasks.settings import Settings


class Shop(NamedTuple):
    """What lists are chosen by: the catalogue, what was clicked together in it, and the shop's rules."""

    products: pa.Table
    catalogue: Catalogue
    cooccurrence: Cooccurrence
    rules: ListRules

    @classmethod
    def of(cls, products: pa.Table, titles_PV: sp.csr_matrix, cooccurrence: Cooccurrence, settings: Settings) -> "Shop":
        """products: of the night's catalogue; titles_PV: their titles as build_label_graph wrote them."""
        variants = Variants.of(*(products[name].to_pylist() for name in ("title", "category", "brand")))
        allowed_P, sessions_P = recommendable(products), cooccurrence.popularity()
        catalogue = Catalogue(titles_PV, _categories(products), allowed_P, variants, sessions_P)
        return cls(products, catalogue, cooccurrence, list_rules(settings))

    def knowing(self, cooccurrence: Cooccurrence) -> "Shop":
        """The same shop as it was when less had been clicked."""
        catalogue = replace(self.catalogue, sessions_P=cooccurrence.popularity())
        return self._replace(catalogue=catalogue, cooccurrence=cooccurrence)

    @property
    def ids_P(self) -> Strings:
        """The product of every row."""
        return strings(self.products["product_id"].to_pylist())

    def published_lists(self, labels_PC: Rows, scores_PC: Floats, decided: PairRules) -> tuple[Lists, Applied]:
        """The lists of all products, chosen from the ranked candidates of each, with what people pinned and blocked."""
        chosen = rerank(labels_PC, scores_PC, self.catalogue, self.cooccurrence, self.rules)
        return apply_pair_rules(chosen, decided, self.catalogue)

    def reranked(self, queries: Rows, labels_QC: Rows, scores_QC: Floats, k: int) -> Rows:
        """The first k places of the lists of some products alone, Q x k, as re-ranking makes them.

        Without what people pinned or blocked, by which no model is to be judged.
        """
        rules = self.rules._replace(k=max(k, self.rules.k))
        labels_PC = np.full((len(self.products), labels_QC.shape[1]), PAD, np.int32)
        scores_PC = np.zeros(labels_PC.shape, np.float32)
        labels_PC[queries], scores_PC[queries] = labels_QC, scores_QC
        return rerank(labels_PC, scores_PC, self.catalogue, self.cooccurrence, rules, queries=queries).labels_PK[
            queries, :k
        ]

    def write(self, chosen: Lists, folder: Path) -> dict[str, float]:
        """Write recommendations.npz, lists.json and histories.parquet; returns the counts of the lists."""
        ids_P, labels_PK, sources_PK = self.ids_P, chosen.labels_PK, chosen.sources_PK
        Recommendations(labels_PK, chosen.scores_PK, sources_PK, ids_P, ids_P).save(folder)
        sessions_P, categories = self.catalogue.sessions_P, self.products["category"].to_pylist()
        popularity = by_popularity(sessions_P)
        segmentations = (
            by_history(sessions_P), popularity, by_category(categories),
            by_first_source(labels_PK, sources_PK, SOURCES),
        )  # fmt: skip
        figures = list_figures(labels_PK, sessions_P, self.catalogue.allowed_P, self.catalogue.variants.title_P)
        PageFigures(figures, segment_figures(labels_PK, sessions_P, segmentations)).save(folder)
        write_histories(self.products["product_id"], sessions_P, popularity, folder)
        counts = {"products": len(ids_P), "recommendable": int(self.catalogue.allowed_P.sum())}
        counts |= {"rows": int((labels_PK != PAD).sum()), "distinct": len(np.unique(labels_PK[labels_PK != PAD]))}
        counts |= {name: int((sources_PK[labels_PK != PAD] == place).sum()) for place, name in enumerate(SOURCES)}
        return counts | {"moved_by_exposure": chosen.moved, **figures._asdict()}


def list_rules(settings: Settings) -> ListRules:
    """The shop's rules of a list."""
    return ListRules(
        settings.top_k, settings.max_same_category, settings.diversity,
        settings.max_variants, settings.exposure_limit, settings.fill_with_popular,
    )  # fmt: skip


def recommendable(products: pa.Table) -> npt.NDArray[np.bool_]:
    """Which products of the catalogue may be recommended: those in stock and not blocked."""
    return np.asarray(pc.and_not(products["in_stock"], products["blocked"]).to_numpy().astype(bool))


def _categories(products: pa.Table) -> Rows:
    """A number for the category of every product of the catalogue, -1 where it has none."""
    numbers = products["category"].combine_chunks().dictionary_encode().indices.fill_null(-1)
    return np.asarray(numbers.to_numpy(zero_copy_only=False).astype(np.int32))
