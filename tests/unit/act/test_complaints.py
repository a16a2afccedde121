"""Complaints of Ansible and ssh, as they were seen on real hosts, in words for a person."""

from __future__ import annotations

import pytest

from orchestrator.act.complaints import plain

NO_ROOM = (
    "Traceback (most recent call last):\n"
    "FileNotFoundError: [Errno 2] No usable temporary directory found in ['/tmp', '/var/tmp', '/home/healer']\n"
)
BROKEN = (
    'Task failed: Data could not be sent to remote host "198.18.0.14". Make sure this host can be reached over ssh: '
)


@pytest.mark.parametrize(
    ("said", "stderr", "told"),
    [
        (
            "Failed to connect to the host via ssh: @@@@@\r\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\r\n"
            "Host key verification failed.",
            "",
            "web1 shows another host key than known_hosts has. Somebody may be in between, or it was set up anew. "
            "Compare on the host, then: healer trust web1 --replace",
        ),
        (
            "Failed to connect to the host via ssh: Host key verification failed.",
            "",
            "web1 shows a host key that known_hosts does not have (Host key verification failed). Compare it on the "
            "host, then: healer trust web1",
        ),
        (
            "Task failed: Missing sudo password",
            "",
            "sudo on web1 asks for a password (Missing sudo password), so nothing can be done as root there. Put its "
            "NOPASSWD rule back with visudo, or set ansible_become_password",
        ),
        (
            "The module interpreter '/usr/bin/python3' was not found.",
            "",
            "web1 has no Python at /usr/bin/python3. Install it there, or set ansible_python_interpreter",
        ),
        (
            "Module result deserialization failed: No start of json char found",
            NO_ROOM,
            "web1 has no room for Ansible's temporary files (FileNotFoundError: [Errno 2] No usable temporary "
            "directory found in ['/tmp', '/var/tmp', '/home/healer']). Make room in /tmp or /var/tmp there",
        ),
        (
            f"{BROKEN}Host key verification failed.\r\n",
            "",
            "web1 shows a host key that known_hosts does not have (Host key verification failed). Compare it on the "
            "host, then: healer trust web1",
        ),
        (
            f"{BROKEN}ssh: connect to host 198.18.0.14 port 22: Connection timed out\r\n",
            "",
            "web1 takes no SSH connection (ssh: connect to host 198.18.0.14 port 22: Connection timed out)",
        ),
        (BROKEN, "", "the SSH connection to web1 broke"),
        (
            "Failed to connect to the host via ssh: Shared connection to 198.18.0.14 closed.",
            "",
            "the SSH connection to web1 broke",
        ),
        (
            "Failed to connect to the host via ssh: ssh: connect to host 198.18.0.14 port 22: No route to host",
            "",
            "web1 takes no SSH connection (ssh: connect to host 198.18.0.14 port 22: No route to host)",
        ),
        (
            "non-zero return code",
            'Job for shop.service failed.\nSee "systemctl status shop.service" for details.',
            "Job for shop.service failed.",
        ),
        ("non-zero return code", "", "non-zero return code"),
        ("refused: shop.service  was\nstopped {cleanly}", "", "refused: shop.service was stopped {cleanly}"),
        # What a role or a module says of its own work stays as it is.
        ("sick: No space left on device {device}", "", "sick: No space left on device {device}"),
        ("Status code was -1: Connection refused", "", "Status code was -1: Connection refused"),
    ],
)
def test_a_complaint_is_told_with_the_way_out(said: str, stderr: str, told: str) -> None:
    assert plain(said, "web1", stderr) == told
