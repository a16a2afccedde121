#!/bin/sh
# Makes a plain Debian a host of the lab. Runs once, inside the image.
set -eu

# The user that healing-bot logs in as: root's rights by sudo, and the journal.
useradd --create-home --shell /bin/bash --groups systemd-journal,adm healer
echo 'healer ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/healer
chmod 0440 /etc/sudoers.d/healer

# Without it PAM logs an error at every login.
echo 'LANG=C.UTF-8' >/etc/default/locale

# sudo and sshd would set limits that a machine without CAP_SYS_RESOURCE can't give, and log an error each time.
sed -i '/pam_limits/s/^/#/' /etc/pam.d/sudo /etc/pam.d/sudo-i /etc/pam.d/sshd

# /etc/lab comes from the controller: this host's SSH key, the lab's public key, the names of all hosts.
rm -f /etc/ssh/ssh_host_*
cat >/etc/tmpfiles.d/lab.conf <<'EOF'
C /etc/ssh/ssh_host_ed25519_key 0600 root root - /etc/lab/ssh_host_ed25519_key
d /home/healer/.ssh 0700 healer healer -
C /home/healer/.ssh/authorized_keys 0600 healer healer - /etc/lab/authorized_keys
L+ /etc/hosts - - - - /etc/lab/hosts
EOF
cat >/etc/ssh/sshd_config.d/lab.conf <<'EOF'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
UseDNS no
EOF

# A host's journal is its own: the machine's kernel lines would come restamped as fresh ones of every host.
mkdir -p /etc/systemd/journald.conf.d
cat >/etc/systemd/journald.conf.d/lab.conf <<'EOF'
[Journal]
ReadKMsg=no
RateLimitIntervalSec=0
EOF

# dbus asks for more files than some machines give, and says so in words of an error at every boot.
mkdir -p /etc/systemd/system/dbus.service.d
printf '[Service]\nLogLevelMax=err\n' >/etc/systemd/system/dbus.service.d/lab.conf

# Hosts share the machine's kernel, its devices and consoles: nothing may set, load or own any of that.
systemctl mask \
  systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service systemd-pstore.service \
  systemd-remount-fs.service systemd-random-seed.service systemd-timesyncd.service systemd-logind.service \
  proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount dev-hugepages.mount dev-mqueue.mount \
  sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
  getty.target getty@.service console-getty.service serial-getty@.service \
  modprobe@.service fstrim.timer

# Work that a host of an hour's life doesn't need, at times that nobody chose.
systemctl mask \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service

# Empty: every host gets its own at boot. Missing, it would be a first boot that switches services on by preset.
: >/etc/machine-id
