"""Sessions by group, made from a matrix of which products each session holds."""

import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.evaluation.session_groups import SessionGroups


def groups_of(held_SP: np.ndarray, group_S: Rows, min_support: int, groups: int) -> SessionGroups:
    """held_SP: whether a session holds a product; group_S: the group of each session."""
    held_by_group = [held_SP[group_S == group].astype(int) for group in range(groups)]
    shared_GPP = np.stack([held.T @ held for held in held_by_group])
    shared_GPP[:, np.arange(held_SP.shape[1]), np.arange(held_SP.shape[1])] = 0
    key_E = np.flatnonzero(shared_GPP.sum(axis=0).ravel() >= min_support)
    shared_EG = shared_GPP.reshape(groups, -1).T[key_E].astype(np.float32)
    held_PG = np.stack([held.sum(axis=0) for held in held_by_group], axis=1).astype(np.float32)
    sessions_G = np.bincount(group_S, minlength=groups)
    return SessionGroups(key_E, sp.csc_matrix(shared_EG), sp.csc_matrix(held_PG), sessions_G, min_support)
