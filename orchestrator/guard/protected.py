"""Names of what is never touched: what a host needs to be reached, logged in to, and repaired by a person.

Built in; `healing_protected_services` adds to it and nothing takes away from it.
"""

from __future__ import annotations

import re

#: Unit names without suffix and instance, in lower case, as shell patterns: one row covers the service, its
#: socket, its timer and every instance of its template.
PROTECTED = (
    # Remote and local login.
    *("ssh", "sshd", "ssh-*", "sshd-*", "dropbear", "dropbear-*", "getty", "*-getty", "autovt"),
    *("user", "user-runtime-dir", "elogind"),
    # The system's own plumbing.
    *("systemd", "systemd-*", "init", "initrd-*", "rescue", "emergency", "polkit", "polkitd"),
    *("dbus", "dbus-broker", "dbus-daemon"),
    # Bus names of systemd's own services (dbus-org.freedesktop.login1 ...); Avahi's and others' have no "1".
    *("dbus-org.freedesktop.*1", "dbus-org.freedesktop.nm-dispatcher", "dbus-fi.w1.wpa_supplicant1"),
    # Network managers.
    *("networkmanager", "networkmanager-*", "nm-*", "network", "networkd", "networking"),
    *("ifupdown", "ifupdown-*", "ifup", "ifplugd", "netplan-*", "iwd", "connman", "connman-*"),
    *("wpa_supplicant", "wpa_supplicant-*", "dhcpcd", "dhclient", "wicked", "wickedd", "wickedd-*"),
    # Packet filters: a restart may shut the door that we came through.
    *("firewalld", "nftables", "iptables", "ip6tables", "ufw", "netfilter-persistent", "shorewall*"),
    # What the file systems stand on.
    *("lvm2-*", "lvm-*", "dm-event", "multipathd", "mdmonitor", "mdadm*", "cryptdisks*"),
    # healing-bot itself.
    *("healer", "healer-*", "healing-bot", "healing-bot-*"),
)

#: Groups of units, mounts and what belongs to the kernel: restarting one is no healing of a service.
PROTECTED_KINDS = (".target", ".slice", ".scope", ".mount", ".automount", ".swap", ".device")

#: Targets that a host falls apart without: what one of them requires is protected. Others, such as
#: multi-user.target, are required by ordinary services too.
VITAL_TARGETS = frozenset(
    {"sysinit.target", "basic.target", "local-fs.target", "sockets.target", "rescue.target"}
    | {"network.target", "network-pre.target", "network-online.target", "emergency.target"}
)

#: The one way to a protected unit: this action alone may touch it.
ONLY_THROUGH = {"systemd-resolved": "restart_network"}

#: Parts of a path that decide who may log in or become root.
FORBIDDEN_NAMES = frozenset(
    {".ssh", ".gnupg", "authorized_keys", "authorized_keys2", "id_rsa", "id_ed25519", "id_ecdsa"}
    | {"shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d"}
)

#: Trees of units, keys, logins, the kernel and the next boot: no safe directory reaches into them.
FORBIDDEN_TREES = (
    *("/etc/systemd", "/usr/lib/systemd", "/lib/systemd", "/usr/local/lib/systemd", "/run/systemd"),
    *("/etc/ssh", "/etc/pam.d", "/etc/security", "/etc/polkit-1", "/etc/passwd", "/etc/group"),
    *("/boot", "/efi", "/dev", "/proc", "/sys"),
)

#: Where a user's own units live, below any home.
FORBIDDEN_PARTS = ("/.config/systemd/", "/.local/share/systemd/")

#: What tells who came in and who became root; below an application's own folder a log of such a name is its own.
SECURITY_RECORDS = re.compile(
    r"/var/log/(?:(?:audit|sudo-io|journal)/.*"
    r"|(?:auth|secure|[wbu]tmp|lastlog|faillog|tallylog|sudo|audit|sulog)(?:[-._].*)?)"
)
