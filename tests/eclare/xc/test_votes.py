import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.tfidf import normalise_rows
from eclare.arrays.topk import PAD
from eclare.xc.co_clicks import clicking_labels
from eclare.xc.votes import TitleVotes, most_voted, softmax_shares, targets_of_titles, voting_titles

CLICKS = sp.csr_matrix(np.array([[1, 2, 0, 0], [0, 1, 1, 0]], np.float32))


def test_a_training_title_votes_for_its_clicks_and_a_label_text_for_what_shares_its_points() -> None:
    targets = targets_of_titles(CLICKS).toarray()
    assert targets[:2].tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]
    assert targets[2].tolist() == [0, 1, 0, 0]
    assert targets[3, [0, 2]].max() == 1 and targets[3, 1] == targets[3, 3] == 0
    assert targets[4].tolist() == [0, 1, 0, 0] and not targets[5].any()
    assert voting_titles(targets_of_titles(CLICKS)).tolist() == [True] * 5 + [False]


@settings(max_examples=25)
@given(arrays(np.float32, (3, 6), elements=st.integers(0, 3)), arrays(np.float32, (6, 6), elements=st.integers(0, 3)))
def test_neighbours_vote_by_the_softmax_of_their_cosines(points_QV, titles_MV) -> None:
    points, titles = (normalise_rows(sp.csr_matrix(matrix)) for matrix in (points_QV, titles_MV))
    cosines = (points @ titles.T).toarray()
    assume(not (np.abs(cosines - 0.2) < 1e-5).any())  # rounding decides at the bound
    targets = targets_of_titles(CLICKS)
    votes = TitleVotes(titles, targets)
    cosines[:, -1] = 0  # the text of a label without a click votes for nothing
    weights = np.where(cosines >= 0.2, np.exp(cosines / 0.1), 0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
    voters = votes.voters(points)
    assert np.allclose(sp.csr_matrix(voters[::-1], shape=weights.shape).toarray(), weights, atol=1e-4)
    counted, voted = weights @ targets.toarray(), votes.votes(voters)
    assert np.allclose(sp.csr_matrix(voted[::-1], shape=counted.shape).toarray(), counted, atol=1e-4)
    for found, expected in zip(most_voted(voted, 3), counted, strict=True):
        assert len(found) == 3 and set(found[found != PAD]) <= set(np.flatnonzero(expected))
        assert sorted(expected[found[found != PAD]]) == pytest.approx(
            sorted(expected)[::-1][: (found != PAD).sum()][::-1]
        )


def test_a_point_without_a_neighbour_has_no_weights() -> None:
    found = softmax_shares((np.zeros((2, 2), np.int32), np.array([[0, 0], [0.5, 0]], np.float32)), 0.1)
    assert sp.csr_matrix(found[::-1], shape=(2, 3)).toarray().tolist() == [[0, 0, 0], [1, 0, 0]]


def test_clicking_labels_are_those_whose_own_points_clicked_a_label() -> None:
    labels = normalise_rows(sp.csr_matrix(np.eye(4, dtype=np.float32)))
    found = clicking_labels(CLICKS, labels, labels[[3, 0]])  # products 3 and 0 as points
    assert found.toarray().tolist() == [[0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]
