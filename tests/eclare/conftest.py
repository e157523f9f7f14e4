"""What holds for every test of the library."""

import sys
from collections.abc import Iterator

import pytest
from numba.core.dispatcher import Dispatcher


@pytest.fixture(scope="session", autouse=True)
def one_signature_a_kernel() -> Iterator[None]:
    """A kernel that met two layouts or types has two compiled versions, which numba's cache can mix up.

    A process killed while it writes the cache, or two that write at once, then leave one under the other's name.
    """
    yield
    kernels = {
        f"{name}.{kernel.__name__}": kernel.signatures
        for name, module in sys.modules.items()
        if name.startswith("eclare.")
        for kernel in vars(module).values()
        if isinstance(kernel, Dispatcher) and kernel.__module__ == name
    }
    several = {name: signatures for name, signatures in kernels.items() if len(signatures) > 1}
    assert not several, f"kernels must be called with arrays of one type and layout: {several}"
