"""Log records: one line of a host's journal or log file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from orchestrator.domain.ids import Cursor

#: Where a record came from when it is not a file: the host's journal.
JOURNAL = "journal"


class Severity(IntEnum):
    """How bad a record is; higher is worse. Named as the levels of the REST API."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

    @classmethod
    def of_priority(cls, priority: int) -> Severity:
        """Syslog priority (0 emergency .. 7 debug) to severity."""
        if priority <= 2:
            return cls.CRITICAL
        return {3: cls.ERROR, 4: cls.WARNING}.get(priority, cls.DEBUG if priority >= 7 else cls.INFO)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogRecord:
    """One line that a host wrote."""

    #: When the host says it was written, corrected to the controller's clock; aware, UTC.
    time: datetime
    #: The host's name in the inventory.
    host: str
    #: The unit that wrote it (or that PID 1 speaks of); '' where no trustworthy field says.
    unit: str
    #: Syslog priority, 0 (emergency) to 7 (debug).
    priority: int
    #: The text, bounded by the collector, control characters replaced.
    message: str
    #: Where to go on reading after this record; None where the source has no position.
    cursor: Cursor | None = None
    #: `journal`, or the path of the log file.
    source: str = JOURNAL
    #: PID 1 says that a unit failed (by MESSAGE_ID): counts as ERROR at any priority.
    unit_failure: bool = False
    #: Written by an SSH, sudo, PAM or Ansible session of our own.
    own_session: bool = False
    #: Put in by `inject-error`, for ever marked.
    injected: bool = False
