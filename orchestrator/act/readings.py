"""What may be asked without a run: which bytes would run, and what a plan that ended said."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from orchestrator.act import workspace
from orchestrator.act.changes import would_change
from orchestrator.act.workspace import Workspace
from orchestrator.domain.actions import Action
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import RunId
from orchestrator.settings import Settings

log = logging.getLogger(__name__)


class Readings:
    """The part of the Executor that starts nothing and needs no store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def digest(self, action: Action, parameters: Mapping[str, str], hosts: Sequence[Host]) -> str:
        """What a verdict and an approval are bound to. Raises CatalogError, RecordError."""
        return workspace.bound_digest(action.folder, action.role, action.id, parameters, hosts, self._settings)

    def parts(self, action: Action, parameters: Mapping[str, str], hosts: Sequence[Host]) -> Mapping[str, str]:
        """See ports.Executor. Raises CatalogError, RecordError."""
        return workspace.bound_parts(action, parameters, hosts, self._settings)

    def changes(self, run_id: RunId) -> str:
        """See ports.Executor."""
        path = Workspace.of(run_id, self._settings).artifacts / "stdout"
        try:
            return would_change(path.read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            log.warning("run.stdout run=%s can't be read: %s", run_id, error)
            return ""
