"""The whitelist: playbooks/<action>/ and roles/<action>/ read into actions; what is incomplete is refused.

One fault anywhere refuses the whole catalogue: a whitelist that is half understood permits nothing.
"""

from __future__ import annotations

from orchestrator.catalog.loading import Catalog, load

__all__ = ["Catalog", "load"]
