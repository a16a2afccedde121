"""The one exception of the lab."""

from __future__ import annotations


class LabError(Exception):
    """What went wrong, in one sentence that names the thing and the way out."""
