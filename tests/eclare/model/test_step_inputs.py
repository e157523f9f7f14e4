import numpy as np
import scipy.sparse as sp
import torch

from eclare.model.network import Bags, distinct
from eclare.model.step_inputs import Scattered, moved


def test_distinct_values_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).integers(50, size=200)
    found, expected = distinct(values, 60), np.unique(values, return_inverse=True)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert [len(each) for each in distinct(np.empty(0, np.int32), 3)] == [0, 0]


def test_a_scattered_matrix_is_the_matrix() -> None:
    matrix = sp.random(7, 11, 0.3, format="csr", random_state=0, dtype=np.float32)
    assert np.array_equal(Scattered.of(matrix).dense().numpy(), matrix.toarray())
    assert not Scattered.of(sp.csr_matrix((2, 3), dtype=np.float32)).dense().any()


def test_every_tensor_at_every_depth_is_moved() -> None:
    bags = Bags.of_used(sp.random(3, 5, 0.5, format="csr", random_state=0, dtype=np.float32))
    on_meta = moved((bags, None), torch.device("meta"))
    assert on_meta == (bags, None), "plain tuples are not looked into"
    assert all(tensor.is_meta for tensor in moved(bags, torch.device("meta")))
