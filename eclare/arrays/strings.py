"""Texts of any length in one array; a fixed width would give each of them the room of the longest."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

Strings: TypeAlias = np.ndarray[tuple[Any, ...], np.dtypes.StringDType]


def strings(texts: Iterable[str]) -> Strings:
    """The texts as an array that sorts, compares and indexes as others do."""
    return cast(Strings, np.array(list(texts), np.dtypes.StringDType()))


def pack(name: str, texts: Strings) -> dict[str, npt.NDArray[Any]]:
    """As plain arrays for np.savez: the bytes of all texts (UTF-8), and where each ends."""
    encoded = [text.encode() for text in texts.tolist()]
    ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
    return {f"{name}_bytes": np.frombuffer(b"".join(encoded), np.uint8), f"{name}_ends": ends}


def unpack(name: str, arrays: Mapping[str, npt.NDArray[Any]], again: str) -> Strings:
    """What `pack` made; raises ValueError, with what to do, where it is not there."""
    if f"{name}_ends" not in arrays:
        raise ValueError(f"the file must hold {name}_bytes and {name}_ends, but is of older code: {again}")
    whole, ends = arrays[f"{name}_bytes"].tobytes(), arrays[f"{name}_ends"].tolist()
    return strings(whole[start:end].decode() for start, end in zip([0, *ends], ends, strict=False))
