import numpy as np
import pytest
import scipy.sparse as sp

from eclare.arrays.topk import PAD
from eclare.related.backtest import Cutoff, cutoffs, examples_at, queries_to_learn_from, relevant_products
from eclare.related.candidates import candidates_of
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import CandidateSet
from tests.eclare.related.trained_shops import snapshot_of
from tests.made_shops import sessions_of_groups


def test_examples_are_what_was_known_then_and_what_was_shared_later() -> None:
    shop = sessions_of_groups(groups=2, products_per_group=8, days=60)
    known, later = shop.cooccurrence.until(20), shop.cooccurrence.since(20)
    snapshot = snapshot_of(known, shop.titles)
    relevance = later.matrix().toarray()
    relevance[relevance < 2] = 0
    assert np.array_equal(relevant_products(later).toarray(), relevance)
    queries = queries_to_learn_from(relevant_products(later), seed=0)
    assert queries.tolist() == np.flatnonzero((relevance > 0).sum(axis=1) >= 5).tolist()
    assert len(queries) == 14
    cutoff = Cutoff(known, relevant_products(later), queries)
    examples = examples_at(cutoff, snapshot.titles_PV, snapshot.ensemble)
    products = candidates_of(snapshot, queries)
    assert np.array_equal(examples.features_QCF, CandidateSet(snapshot, queries, products).features_QCF)
    expected = np.where(products == PAD, 0, np.take_along_axis(relevance[queries], products, axis=1))
    assert np.array_equal(examples.relevance_QC, expected)
    assert np.array_equal(examples.mask_QC, products != PAD)


@pytest.mark.parametrize(("days", "days_ago"), [(400, [45, 90, 180]), (120, [20, 40, 79])])
def test_a_short_log_is_cut_at_the_same_shares_of_itself(days, days_ago) -> None:
    log = sessions_of_groups(groups=2, products_per_group=8, days=days).cooccurrence
    found = list(cutoffs(log, seed=0))
    assert [log.days - each.known.days for each in found] == days_ago
    for cutoff, ago in zip(found, days_ago, strict=True):
        assert (cutoff.relevance_PP != relevant_products(log.since(ago))).nnz == 0


def test_a_log_that_is_too_short_has_no_cutoff() -> None:
    log = Cooccurrence.of_sessions(sp.csr_matrix(np.ones((3, 4), np.float32)), np.array([0, 1, 2]))
    assert list(cutoffs(log, seed=0)) == []
    assert list(cutoffs(sessions_of_groups(groups=2, products_per_group=8, days=1).cooccurrence, seed=0)) == []
