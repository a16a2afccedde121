"""What only the running worker knows, and no record has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauges:
    """As it stands now; a restart begins anew."""

    #: Whether the model failed so often that the embedded chooser decides for now; None: no model is asked.
    model_away: bool | None = None
    #: Notices that wait to be told, by channel.
    notices_held: Mapping[str, int] = field(default_factory=dict)
