"""numba, with names for compiled functions that no other process gives.

numba numbers what it compiles from 1 on in every process, and the number is part of the name under which cached machine
code is linked. So two processes can give one name to two things, such as the inner loops of a sort and of an argsort,
and a third that loads both from the cache calls one for the other: it crashes, or never ends.
"""

from functools import partial
from secrets import randbits

import numba
from numba.core.bytecode import FunctionIdentity

__all__ = ["numba"]

FunctionIdentity._unique_ids = iter(partial(randbits, 48), None)
