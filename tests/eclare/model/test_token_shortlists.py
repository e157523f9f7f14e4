"""The best labels of a title among those of its tokens, against the slow way, and what they miss of all labels."""

from dataclasses import replace

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from eclare.arrays.topk import PAD
from eclare.model import token_shortlists
from eclare.model.token_shortlists import TokenShortlists, quantised
from eclare.ranker import Ranker
from eclare.related import candidates, ranking
from eclare.related.candidates import by_model, by_token_shortlists
from eclare.related.features import NAMES
from eclare.related.ranking import rank
from tests.eclare.related.trained_shops import snapshot_of
from tests.made_shops import sessions_of_groups

SHOP = sessions_of_groups(groups=12, products_per_group=10, days=30)


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_best_of_the_labels_of_any_token_are_kept(seed, k) -> None:
    random = np.random.default_rng(seed)
    labels_VT = random.integers(PAD, 20, (6, 4), dtype=np.int32)
    classifiers, encoded = (random.integers(-2, 3, (rows, 4)).astype(np.float32) for rows in (20, 5))
    classifiers[:, 3] = encoded[:, 3] = 127  # what then is a whole number stays what it is in 8 bits
    titles = sp.random(5, 6, 0.4, "csr", np.float32, random)
    found = TokenShortlists(labels_VT, classifiers).search(titles, encoded, k)
    for query, row in enumerate(found):
        union = {label for token in titles[query].indices for label in labels_VT[token].tolist()} - {PAD}
        kept = row[row != PAD].tolist()
        assert len(kept) == len(set(kept)) == min(k, len(union)) and set(kept) <= union
        scores = {label: float(encoded[query] @ classifiers[label]) for label in union}
        assert sorted(scores[label] for label in kept) == sorted(scores.values())[len(union) - len(kept) :]


def test_scores_of_8_bits_are_nearly_the_scores() -> None:
    random = np.random.default_rng(0)
    classifiers, encoded = (random.standard_normal((rows, 128), np.float32) for rows in (2000, 40))
    classifiers[7] = 0
    (codes, scale), of_queries = quantised(classifiers), quantised(encoded)
    assert codes.dtype == np.int8 and np.abs(codes).max(axis=1).tolist() == [127 * (row != 7) for row in range(2000)]
    exact = encoded @ classifiers.T
    found = (of_queries.codes_ND.astype(int) @ codes.astype(int).T) * scale * of_queries.scale_N[:, None]
    assert np.abs(found - exact).max() < 0.08 * exact.std()
    best = [set(np.argsort(-scores)[:100].tolist()) for scores in exact]
    kept = [len(best[row] & set(np.argsort(-found[row])[:100].tolist())) for row in range(40)]
    assert np.mean(kept) > 97


def test_most_of_the_best_of_all_labels_are_among_them(monkeypatch) -> None:
    monkeypatch.setattr(token_shortlists, "LENGTH", 15)
    snapshot, queries = snapshot_of(SHOP.cooccurrence, SHOP.titles), np.arange(120, dtype=np.int32)
    found, exact = by_token_shortlists(snapshot, queries, 5), by_model(snapshot, queries, 5)
    kept = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
    assert kept > 0.9
    assert (snapshot.token_shortlists.labels_VT[:, 0] != PAD).any()


def test_only_allowed_products_are_in_them_and_rare_tokens_have_none() -> None:
    allowed = np.arange(120) % 3 == 0
    snapshot = snapshot_of(SHOP.cooccurrence, SHOP.titles, allowed)
    lists = snapshot.token_shortlists.labels_VT
    assert allowed[lists[lists != PAD]].all()
    held = np.bincount(snapshot.titles_PV.indices, minlength=len(lists))
    assert np.array_equal((lists != PAD).any(axis=1), held >= 2)


def test_saved_ones_are_found_again_without_what_is_allowed_no_more(tmp_path) -> None:
    snapshot, everything = snapshot_of(SHOP.cooccurrence, SHOP.titles), np.ones(120, bool)
    assert TokenShortlists.load(tmp_path, snapshot.ensemble, everything) is None
    snapshot.token_shortlists.save(tmp_path)
    again = TokenShortlists.load(tmp_path, snapshot.ensemble, everything)
    assert again is not None and np.array_equal(again.labels_VT, snapshot.token_shortlists.labels_VT)
    saved = replace(snapshot, saved_shortlists=again)
    queries = np.arange(120, dtype=np.int32)
    assert saved.token_shortlists is again
    assert np.array_equal(by_token_shortlists(saved, queries, 7), by_token_shortlists(snapshot, queries, 7))
    some = np.arange(120) % 3 > 0
    left = TokenShortlists.load(tmp_path, snapshot.ensemble, some)
    assert left is not None
    kept = some[again.labels_VT] & (again.labels_VT != PAD)
    assert np.array_equal(left.labels_VT, np.where(kept, again.labels_VT, PAD))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread here")
def test_the_number_of_threads_changes_nothing() -> None:
    snapshot, queries = snapshot_of(SHOP.cooccurrence, SHOP.titles), np.arange(120, dtype=np.int32)
    usual, found = numba.get_num_threads(), []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(by_token_shortlists(snapshot, queries, 7))
    numba.set_num_threads(usual)
    assert np.array_equal(*found)


def test_a_large_catalogue_is_ranked_by_them(monkeypatch) -> None:
    """With as many products as there are, lists of all labels find what searching all of them finds."""
    snapshot, everything = snapshot_of(SHOP.cooccurrence, SHOP.titles), np.arange(120, dtype=np.int32)
    ranker = Ranker.linear(NAMES, {"model": 1.0, "title cosine": 1.0}, {})
    usual = rank(snapshot, ranker, everything, 5)
    monkeypatch.setattr(ranking, "worth_shortlists", lambda _: True)
    assert np.array_equal(rank(snapshot, ranker, everything, 5).labels_QK, usual.labels_QK)


def test_whether_they_are_worth_it_is_a_matter_of_products_and_tokens(monkeypatch) -> None:
    snapshot = snapshot_of(SHOP.cooccurrence, SHOP.titles)
    assert not candidates.worth_shortlists(snapshot), "a small catalogue"
    monkeypatch.setattr(candidates, "SHORTLISTS_FROM", 100)
    assert candidates.worth_shortlists(snapshot) == (2 * snapshot.titles_PV.shape[1] < 120)
