"""What a run's process is started as: `python -m orchestrator.supervise RUN_DIR`. Wires it to the store's lease.

Plain data in (the folder's job.json), files and an exit status out; no connection or thread is made before the
playbook's own process, so a warm process may fork `supervise` as well as start it cold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from orchestrator.act import supervisor
from orchestrator.act.order import Order
from orchestrator.record.lease import Lease


def keep(order: Order) -> Callable[[], bool]:
    """What renews the lease of an order's run."""
    return Lease(order.store_url, order.run_id, order.lease).renew


def supervise(folder: Path) -> int:
    """The exit status of the run's process: see act.supervisor."""
    return supervisor.main(folder, keep)


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1])))
