"""Which file system a file lies on: SQLite and the locks of processes hold on this machine's own alone."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.errors import ConfigError

#: Types whose locks or writes other machines, or this one after a lost connection, may not see.
NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "smbfs"}
    | {"nfs", "nfs4", "smb3", "fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs"}
)
MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system(path: Path, mountinfo: str) -> tuple[str, Path] | None:
    """Type and mount point of what an absolute path without links lies on; None where that can't be told.

    `mountinfo` is the text of /proc/PID/mountinfo, see proc_pid_mountinfo(5).
    """
    found: tuple[str, Path] | None = None
    for line in mountinfo.splitlines():
        mount, separator, kind = line.partition(" - ")
        fields = mount.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # Of two on the same point the later one hides the former.
        if path.is_relative_to(point) and (found is None or len(point.parts) >= len(found[1].parts)):
            found = kind.split(" ")[0], point
    return found


def require_local(path: Path, mounts: Path | None = None) -> None:
    """Raises ConfigError for a path on a network file system, whether or not it exists yet."""
    try:
        text = (mounts or MOUNTS).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    found = file_system(path.resolve(), text)
    if found is not None and found[0] in NETWORK:
        kind, point = found
        raise ConfigError(
            f"{path} lies on a network file system ({kind}, mounted on {point}), where SQLite and locks between "
            "processes can't be relied on. Nothing was touched. Point state_dir and store_url at a local disk."
        )
