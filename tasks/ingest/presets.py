"""What LOG_FORMAT and CATALOGUE_FORMAT say for exports that many shops have, by name: presets.json."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

Of = Literal["log", "catalogue"]
MERGED = ("columns", "event_types")  # name by name; of every other key the format's own goes first


@cache
def presets() -> dict[str, dict[str, Any]]:
    """By name: what it is of (`what`), and what a `log` and a `catalogue` of that kind say."""
    found: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))
    return found


def with_preset(given: Any, of: Of) -> Any:
    """A format that names a preset, with what that says; what is given beside it goes first.

    Raises ValueError for a name that no log, or catalogue, has a preset of.
    """
    if not isinstance(given, Mapping) or not given.get("preset"):
        return given
    known = {name: preset[of] for name, preset in presets().items() if of in preset}
    name = given["preset"]
    if name not in known:
        raise ValueError(f"preset must be among {', '.join(known)} for a {of}, got {name!r}")
    merged = {**known[name], **given}
    for key in MERGED:
        if key in known[name] and isinstance(given.get(key), Mapping):
            merged[key] = {**known[name][key], **given[key]}
    return merged
