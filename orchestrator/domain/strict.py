"""JSON that says one thing only."""

from __future__ import annotations

from typing import Any


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """`object_pairs_hook` of json.loads: ValueError for an object that says a key twice, for two readers would
    disagree on what it says."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key} comes twice")
        found[key] = value
    return found
