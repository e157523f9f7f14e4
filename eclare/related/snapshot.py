"""What is known of a catalogue on one day, from which candidates are found and features computed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, CSRStack, Floats, Rows, with_sum_one
from eclare.arrays.inner_products import LEAST_LOG_SHARE, chosen_inner_products, log_shares
from eclare.arrays.products import heaviest_of_product, keep_heaviest
from eclare.arrays.topk import PAD
from eclare.model.ensemble import Ensemble
from eclare.model.exact_index import Index
from eclare.model.inference import CHUNK, build_quick_index
from eclare.model.token_shortlists import TokenShortlists
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import EVER, HALF_LIVES, LATELY
from eclare.related.item_embeddings import item_embeddings
from eclare.related.like_sentences import ProductSentences

HEAVIEST_TO_LIKE = 200  # sums of sessions kept of each product
HEAVIEST_HOPS = 100  # transitions kept of each product
BESTSELLERS = 50
DAMPED_BY = (0.5, 0.9)  # powers of popularity that candidates are found by


@dataclass(frozen=True, eq=False)
class Snapshot:
    """P products on one day: their co-occurrence until then, their titles, and a model trained until then or before.

    titles_PV: CSR TF-IDF with rows of norm 1 or 0; like_PP: which of them are alike (like_titles); allowed_P: products
    that may be recommended. saved_shortlists: of the same model, where they were found before; sentences: the
    titles as a sentence encoder sees them, where one is used.
    """

    cooccurrence: Cooccurrence
    titles_PV: sp.csr_matrix
    like_PP: sp.csr_matrix
    ensemble: Ensemble
    allowed_P: npt.NDArray[np.bool_]
    saved_shortlists: TokenShortlists | None = None
    sentences: ProductSentences | None = None

    def __len__(self) -> int:
        return len(self.cooccurrence)

    def model_scores(self, queries: Rows, labels_QC: Rows) -> Floats:
        """The model's inner products, Q x C; without meaning for PAD."""
        return chosen_inner_products(self.encoded_PD[queries], self.ensemble.classifiers_LD, labels_QC)

    def embedding_cosines(self, queries: Rows, products_QC: Rows) -> Floats:
        """Cosines of item embeddings, Q x C; 0 for PAD and where nothing is known of one of the two."""
        cosines_QC = chosen_inner_products(self.embeddings_PD[queries], self.embeddings_PD, products_QC)
        return np.where(products_QC == PAD, np.float32(0), cosines_QC)

    def log_shares(self, queries: Rows, labels_QC: Rows, log_partition_Q: Floats | None = None) -> Floats:
        """Log of the model's softmax, Q x C, over the labels of each query or, given a log-partition, over its labels.

        PAD has the least there is, LEAST_LOG_SHARE.
        """
        if log_partition_Q is None:
            return np.asarray(log_shares(self.encoded_PD[queries], self.ensemble.classifiers_LD, labels_QC))
        shares = np.maximum(self.model_scores(queries, labels_QC) - log_partition_Q[:, None], LEAST_LOG_SHARE)
        return np.where(labels_QC == PAD, np.float32(LEAST_LOG_SHARE), shares)

    @cached_property
    def encoded_PD(self) -> Floats:
        """Every title as the model encodes it."""
        chunks = range(0, len(self), CHUNK)
        return np.concatenate([self.ensemble.encode(self.titles_PV[start : start + CHUNK]) for start in chunks])

    @cached_property
    def model_index(self) -> tuple[Rows, Index]:
        """The allowed products, and the index of their classifiers."""
        allowed = np.flatnonzero(self.allowed_P).astype(np.int32)
        return allowed, build_quick_index(self.ensemble.classifiers_LD[allowed], self.ensemble.device)

    @cached_property
    def token_shortlists(self) -> TokenShortlists:
        """The best allowed products of every token of the titles."""
        if self.saved_shortlists is not None:
            return self.saved_shortlists
        allowed, index = self.model_index
        return TokenShortlists.of(self.ensemble, index, allowed, self.titles_PV)

    @cached_property
    def sessions_by_half_life(self) -> CSRStack:
        """Sessions of every pair for each of HALF_LIVES."""
        return self.cooccurrence.stack(HALF_LIVES)

    @cached_property
    def shared_PP(self) -> sp.csr_matrix:
        """Those of every session counted whole."""
        indptr, indices, counts = self.sessions_by_half_life
        return sp.csr_matrix((counts[:, EVER].copy(), indices, indptr), shape=(len(self), len(self)))

    @cached_property
    def shared(self) -> CSR:
        """The same as CSR."""
        return CSR.of(self.shared_PP)

    @cached_property
    def allowed_sessions_PP(self) -> sp.csr_matrix:
        """Those with products that may be recommended."""
        kept = self.shared_PP.copy()
        kept.data = kept.data * self.allowed_P[kept.indices]
        kept.eliminate_zeros()
        return kept

    @cached_property
    def allowed_sessions_damped(self) -> dict[float, sp.csr_matrix]:
        """The same over the related product's sessions to each of DAMPED_BY: 0.5 ranks as cosine does, 1 as lift."""
        popularity_P = np.maximum(self.popularity_PH[:, EVER], 1)
        weights_P = {power: (popularity_P**-power).astype(np.float32) for power in DAMPED_BY}
        return {power: sp.csr_matrix(self.allowed_sessions_PP @ sp.diags_array(of)) for power, of in weights_P.items()}

    @cached_property
    def degree_P(self) -> Floats:
        """Sessions that every product shares, summed over all that it shares them with: its weighted degree."""
        return np.asarray(self.shared_PP.sum(axis=1), dtype=np.float32).ravel()

    @cached_property
    def popularity_PH(self) -> Floats:
        """Sessions of every product for each of HALF_LIVES."""
        return self.cooccurrence.popularities(HALF_LIVES)

    @cached_property
    def embeddings_PD(self) -> Floats:
        """Item embeddings of every product's sessions."""
        return item_embeddings(self.shared_PP, self.popularity_PH[:, EVER], self.cooccurrence.session_count)

    @cached_property
    def bestsellers(self) -> Rows:
        """The allowed products of most sessions lately, BESTSELLERS at most; ties go to the lower row."""
        popularity_P = np.where(self.allowed_P, self.popularity_PH[:, LATELY], 0)
        best = np.argsort(-popularity_P, kind="stable")[:BESTSELLERS]
        return best[popularity_P[best] > 0].astype(np.int32)

    @cached_property
    def transitions_PP(self) -> sp.csr_matrix:
        """The chance to go from a product to another one of its sessions, the likeliest ones."""
        return keep_heaviest(with_sum_one(self.shared_PP), HEAVIEST_HOPS)

    @cached_property
    def transitions(self) -> CSR:
        """The same as CSR."""
        return CSR.of(self.transitions_PP)

    @cached_property
    def titles(self) -> CSR:
        """titles_PV as CSR."""
        return CSR.of(self.titles_PV)

    @cached_property
    def sessions_with_like(self) -> CSR:
        """Sessions of every product with products whose titles are like the related one's, weighted, P x P."""
        return self._sessions_with(self.like_PP)

    @cached_property
    def sessions_with_like_sentences(self) -> CSR:
        """The same by the sentence encoder, without which nobody asks for it."""
        assert self.sentences is not None  # noqa: S101 (features.OF_SENTENCES)
        return self._sessions_with(self.sentences.like_PP)

    def _sessions_with(self, like_PP: sp.csr_matrix) -> CSR:
        return CSR.of(heaviest_of_product(self.shared_PP, like_PP.T.tocsr(), HEAVIEST_TO_LIKE))
