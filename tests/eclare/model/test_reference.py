"""The network and the walk against slow float64 mathematics."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.inference import attention_of, classifiers_of, encoded_by
from eclare.model.label_graph import build_label_graph, normalised_edges
from eclare.model.network import ECLARE, Attention, ResidualBlock


def spectral(state: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A weight over its largest singular value, as the last power iteration knew it."""
    weight = state[f"{name}.parametrizations.weight.original"]
    u, v = (state[f"{name}.parametrizations.weight.0._{side}"] for side in "uv")
    return weight / (u @ weight @ v)


def residual(state: dict[str, np.ndarray], name: str, v: np.ndarray) -> np.ndarray:
    linear = f"{name}.change.2"
    return v + state.get(f"{name}.k", 1.0) * (np.maximum(v, 0) @ spectral(state, linear).T + state[f"{linear}.bias"])


@pytest.mark.parametrize(
    "options", [{}, {"use_attention": False}, {"xavier_attention": True}, {"learnt_residual": True}]
)
def test_encoder_attention_and_classifiers_equal_float64_numpy(options) -> None:
    random = np.random.default_rng(0)
    config = ECLAREConfig(embedding_dim=6, **options)
    torch.manual_seed(0)
    model = ECLARE(tokens=9, labels=5, config=config)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    points, labels = (sp.random(rows, 9, 0.4, format="csr", random_state=rows, dtype=np.float32) for rows in (7, 5))
    edges = sp.csr_matrix((random.random((5, 5)) * (random.random((5, 5)) < 0.5) + np.eye(5)).astype(np.float32))
    model.eval()
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}

    z_points, z_labels = (matrix.toarray().astype(np.float64) @ state["tokens.weight"] for matrix in (points, labels))
    encoded = np.maximum(residual(state, "point_block.0", z_points), 0)
    views = np.stack(
        [
            residual(state, "text_block", z_labels),
            residual(state, "graph_block", edges.toarray() @ z_labels),
            state["refinement.weight"],
        ],
        axis=1,
    )
    each = np.maximum(views, 0) @ spectral(state, "attention.each.2").T + state["attention.each.2.bias"]
    logits = each.reshape(5, -1) @ spectral(state, "attention.all").T + state.get("attention.all.bias", 0.0)
    attention = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    mixed = np.einsum("lz,lzd->ld", attention, views) if config.use_attention else views.sum(axis=1)

    texts = Texts(points, labels, edges)
    assert np.allclose(encoded_by(model, points), encoded, atol=1e-5)
    assert np.allclose(classifiers_of(model, texts), mixed, atol=1e-5)
    if config.use_attention:
        assert np.allclose(attention_of(model, texts), attention, atol=1e-5)


def test_the_factor_of_a_residual_block_starts_at_one_and_is_learnt_where_the_config_says_so() -> None:
    torch.manual_seed(0)
    v_BD = torch.randn(5, 8)
    fixed, learnt = (ResidualBlock(8, 0.0, learnt=learnt).eval() for learnt in (False, True))
    assert learnt.load_state_dict(fixed.state_dict(), strict=False).missing_keys == ["k"]
    assert torch.equal(learnt(v_BD), fixed(v_BD))
    learnt(v_BD).sum().backward()
    assert learnt.k.grad.item() == pytest.approx(learnt.change(v_BD).sum().item())


def test_attention_starts_as_the_identity_or_as_the_authors_xavier() -> None:
    ours, theirs = (Attention(16, 3, 0.2, xavier=xavier).state_dict() for xavier in (False, True))
    weight = "parametrizations.weight.original"
    assert torch.equal(ours[f"each.2.{weight}"], torch.eye(16)) and "all.bias" in ours
    assert "all.bias" not in theirs and torch.equal(theirs["each.2.bias"], torch.zeros(16))
    for name, ends in (("each.2", 16 + 16), ("all", 3 * 16 + 3)):
        bound = (6 / ends) ** 0.5
        assert 0.9 * bound < theirs[f"{name}.{weight}"].abs().max() <= bound


@pytest.mark.slow
@pytest.mark.parametrize("restart", [0.2, 0.8])
def test_a_long_walk_visits_labels_like_personalised_pagerank(restart) -> None:
    random = np.random.default_rng(1)
    clicks = random.integers(0, 4, (12, 7)) * (random.random((12, 7)) < 0.5) + np.eye(12, 7, dtype=int)
    step = (clicks / clicks.sum(axis=0)).T @ (clicks / clicks.sum(axis=1, keepdims=True))
    # Visits are counted after each step: pi = (restart e + (1 - restart) pi) T.
    visits = restart * step @ np.linalg.inv(np.eye(7) - (1 - restart) * step)
    assert np.allclose(visits.sum(axis=1), 1)
    config = ECLAREConfig(walk_length=200_000, restart_probability=restart)
    graph = build_label_graph(sp.csr_matrix(clicks.astype(np.float32)), config)
    expected = normalised_edges(sp.csr_matrix(visits)).toarray()
    assert np.allclose(graph.edges_LL.toarray(), expected, atol=0.01)
