"""The hosts' image: Debian by mmdebstrap, and a layer that makes it a host of a lab.

A tag is a hash of the recipe, so an image is made once and again only when its recipe changes.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lab.errors import LabError
from lab.machine import Say, as_root, os_release
from lab.podman import Podman

#: What every host has; the rest of the layer is `host/setup.sh`.
PACKAGES = (
    *("systemd", "systemd-sysv", "systemd-resolved", "dbus", "openssh-server", "sudo", "iproute2", "procps"),
    *("python3-minimal", "python3-apt", "cron", "logrotate", "ca-certificates", "openssl", "nginx-light"),
)
_OPTIONS = (
    "--variant=minbase",
    # An image that is thrown away when its making fails needs no file to be on disk at once.
    "--dpkgopt=force-unsafe-io",
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info")),
    # The controller's apt options may hold a proxy's password.
    '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap',
)
_LAYER = Path(__file__).resolve().parent / "host"
_REPOSITORY = "localhost/healing-lab"
#: apt options of the machine without which its mirror may be out of reach.
_APT_OPTIONS = ("Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries", "Acquire::Force")

_MIRROR_FORMAT = "$(RELEASE) $(CODENAME) $(COMPONENT) $(REPO_URI)"


def ensure_image(podman: Podman, say: Say) -> str:
    """The hosts' image, made if its recipe has none yet; returns its full name.

    `podman` must be open. Raises LabError if this is no Debian, no mirror is known, or making fails.
    """
    suite = _suite()
    base = f"{_REPOSITORY}-base:{digest([suite, *PACKAGES, *_OPTIONS])}"
    layer = [f"{file.name}\n{file.read_text(encoding='utf-8')}" for file in sorted(_LAYER.iterdir())]
    image = f"{_REPOSITORY}:{digest([base, *layer])}"
    if _exists(podman, image):
        return image
    if not _exists(podman, base):
        say(f"making the hosts' image of Debian {suite}; this is done once and takes about half a minute")
        _make_base(podman, base, suite)
    podman.run(
        *("build", "--quiet", "--isolation", "chroot", "--pull-never", "--build-arg", f"BASE={base}"),
        *("--tag", image, str(_LAYER)),
        timeout=300,
    )
    return image


def digest(parts: Iterable[str]) -> str:
    """A short hash of a recipe's parts in their order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def mirror_in(answer: str, suite: str) -> str | None:
    """The suite's own mirror in what apt-get answered about its sources, by `_MIRROR_FORMAT`."""
    for row in answer.splitlines():
        release, codename, component, address = [*row.split(), "", "", "", ""][:4]
        if suite in (release, codename) and component == "main" and not address.startswith("cdrom:"):
            return address
    return None


def apt_options_in(dump: str) -> list[str]:
    """The lines of `apt-config dump` that say how this machine reaches its mirror."""
    return [row for row in dump.splitlines() if row.startswith(_APT_OPTIONS) and not row.endswith('"";')]


def _suite() -> str:
    release = os_release()
    suite = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not suite:
        raise LabError(
            f"The lab makes hosts of the controller's own Debian suite, but this is {release.get('PRETTY_NAME')}."
        )
    return suite


def _make_base(podman: Podman, base: str, suite: str) -> None:
    command = ["apt-get", "indextargets", "--format", _MIRROR_FORMAT, "Created-By: Packages"]
    mirror = mirror_in(as_root(command).stdout, suite)
    if mirror is None:
        raise LabError(f"No apt source of this machine offers {suite} main; add one to /etc/apt/sources.list.d.")
    options = apt_options_in(as_root(["apt-config", "dump"]).stdout)
    with tempfile.TemporaryDirectory(prefix="healing-lab-") as folder:
        archive = str(Path(folder, "root.tar"))
        as_root(
            [
                *("mmdebstrap", "--quiet", *_OPTIONS, f"--include={','.join(PACKAGES)}"),
                *(f"--aptopt={option}" for option in options),
                *(suite, archive, mirror),
            ],
            timeout=900,
        )
        podman.run("import", "--quiet", archive, base, timeout=300)


def _exists(podman: Podman, image: str) -> bool:
    return podman.run("image", "exists", image, check=False).returncode == 0
