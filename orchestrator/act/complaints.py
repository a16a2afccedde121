"""What Ansible and ssh say where they could not do their work on a host, in a sentence with the way out. Pure."""

from __future__ import annotations

import re

#: Words of theirs -> what is said of the host instead; groups of the expression may be named. First match counts.
TABLE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), sentence)
    for pattern, sentence in (
        (
            r"(?:via|over) ssh: .*remote host identification has changed",
            "{host} shows another host key than known_hosts has. Somebody may be in between, or it was set up anew. "
            "Compare on the host, then: healer trust {host} --replace",
        ),
        (
            r"(?:via|over) ssh: .*host key verification failed",
            "{host} shows a host key that known_hosts does not have (Host key verification failed). Compare it on the "
            "host, then: healer trust {host}",
        ),
        (
            r"missing sudo password|^sudo: a password is required",
            "sudo on {host} asks for a password ({said}), so nothing can be done as root there. Put its NOPASSWD rule "
            "back with visudo, or set ansible_become_password",
        ),
        (
            r"module interpreter '(?P<path>[^']{1,200})' was not found",
            "{host} has no Python at {path}. Install it there, or set ansible_python_interpreter",
        ),
        (
            r"no usable temporary directory found|^OSError: \[Errno (?:28|122)\]|failed to create temporary directory",
            "{host} has no room for Ansible's temporary files ({said}). Make room in /tmp or /var/tmp there",
        ),
        (r"(?:via|over) ssh: .*permission denied \(", "{host} refused our login ({said})"),
        (
            r"(?:via|over) ssh: .*(?:connection (?:closed|timed out|refused)|no route to host|network is unreachable)",
            "{host} takes no SSH connection ({said})",
        ),
        (
            r"data could not be sent to remote host"
            r"|(?:via|over) ssh: .*(?:shared connection to|broken pipe|not responding|connection reset)",
            "the SSH connection to {host} broke",
        ),
    )
)
#: Letters that are kept of their own words.
_SAID = 160


def plain(said: str, host: str, stderr: str = "") -> str:
    """One sentence for what failed on `host`; `said` itself where it is none of the known complaints.

    `stderr` is what was written there: a module that gave no answer ends with why, a command begins with it.
    """
    lines = stderr.strip().splitlines()
    if lines and "deserialization failed" in said:
        said = lines[-1]
    elif lines and said == "non-zero return code":
        said = lines[0]
    said = " ".join(said.split())
    for pattern, sentence in TABLE:
        found = pattern.search(said)
        if found:
            return sentence.format(host=host, said=_own(said), **found.groupdict())
    return said


def _own(said: str) -> str:
    """Without what Ansible puts before and after the words of others."""
    words = re.sub(r"^(?:task failed: )?(?:.* (?:via|over) ssh: )?", "", said, flags=re.IGNORECASE).rstrip(" .:")
    return words if len(words) <= _SAID else f"{words[:_SAID]}..."
