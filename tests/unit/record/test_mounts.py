"""A store on a network file system is told before it is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.record.mounts import file_system, require_local

MOUNTINFO = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw
40 22 0:40 / /srv rw,relatime - nfs4 files:/srv rw,vers=4.2
41 40 0:41 / /srv/local rw,relatime shared:9 master:3 - ext4 /dev/vdb rw
42 22 0:42 / /mnt/two\\040words rw - cifs //files/two rw
43 22 0:43 / /hidden rw - nfs4 files:/old rw
44 43 0:44 / /hidden rw - tmpfs tmpfs rw
45 22 0:45 / /home/ann/remote rw - fuse.sshfs ann@files:/ rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind", "point"),
    [
        ("/var/lib/healing-bot/healer.sqlite", "ext4", "/"),
        ("/srv/healing/healer.sqlite", "nfs4", "/srv"),
        ("/srv", "nfs4", "/srv"),
        ("/srvx/healer.sqlite", "ext4", "/"),
        ("/srv/local/state/healer.sqlite", "ext4", "/srv/local"),
        ("/mnt/two words/healer.sqlite", "cifs", "/mnt/two words"),
        ("/hidden/healer.sqlite", "tmpfs", "/hidden"),
        ("/home/ann/remote/.healing", "fuse.sshfs", "/home/ann/remote"),
    ],
)
def test_the_deepest_mount_of_a_path_is_found(path: str, kind: str, point: str) -> None:
    assert file_system(Path(path), MOUNTINFO) == (kind, Path(point))


def test_without_mounts_nothing_is_told() -> None:
    assert file_system(Path("/srv"), "") is None


def remote(tmp_path: Path, kind: str) -> Path:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO + f"50 22 0:50 / {tmp_path}/remote rw - {kind} files:/x rw\n")
    return mounts


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs"])
def test_a_network_file_system_is_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    where = tmp_path / "remote" / "state" / "healer.sqlite"

    with pytest.raises(ConfigError) as caught:
        require_local(where, remote(tmp_path, kind))

    told = str(caught.value)
    assert all(part in told for part in (str(where), f"({kind}, mounted on {tmp_path}/remote)", "local disk"))


def test_a_link_leads_to_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "remote")

    with pytest.raises(ConfigError, match="nfs4"):
        require_local(tmp_path / "link" / "healer.sqlite", remote(tmp_path, "nfs4"))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay"])
def test_a_local_one_is_taken(tmp_path: Path, kind: str) -> None:
    require_local(tmp_path / "remote" / "healer.sqlite", remote(tmp_path, kind))


def test_a_system_that_does_not_tell_its_mounts_refuses_nothing(tmp_path: Path) -> None:
    require_local(tmp_path, tmp_path / "none")
