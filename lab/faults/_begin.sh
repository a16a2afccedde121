# Put before every fault. A fault is real programs failing for a real reason; it ends when the journal shows it.
set -eu
journalctl --sync
cursor=$(journalctl --lines=1 --show-cursor --output=cat | sed -n 's/^-- cursor: //p')

# recorded REGEX: wait until a line of the journal after the fault's beginning matches.
recorded() {
  for _ in $(seq 100); do
    if journalctl --after-cursor="$cursor" --output=cat | grep --quiet --extended-regexp "$1"; then return 0; fi
    sleep 0.3
  done
  echo "nothing in the journal matches: $1" >&2
  return 1
}

# program PATH: an executable with the text on standard input.
program() {
  cat >"$1"
  chmod 0755 "$1"
}

# unit NAME: a unit file with the text on standard input, known to systemd and free of former failures.
unit() {
  systemctl stop "$1" 2>/dev/null || true
  cat >"/etc/systemd/system/$1"
  systemctl daemon-reload
  systemctl reset-failed "$1" 2>/dev/null || true
}

# small_filesystem FOLDER: 16 MB of its own for a service's logs, empty.
small_filesystem() {
  mkdir -p "$1"
  while mountpoint --quiet "$1"; do umount --lazy "$1"; done
  mount -t tmpfs -o size=16m,mode=0755 tmpfs "$1"
}

# log_writer NAME: a service that appends to /var/log/NAME/NAME.log for as long as it runs and says when it can't.
log_writer() {
  program "/usr/local/bin/$1-server" <<EOF
#!/usr/bin/python3
import sys, time

PATH = "/var/log/$1/$1.log"
with open(PATH, "ab", buffering=0) as log:
    while True:
        try:
            log.write(b"%d order accepted\n" % time.time())
        except OSError as error:
            print(f"ERROR: cannot write {PATH}: {error}", file=sys.stderr, flush=True)
        time.sleep(2)
EOF
  unit "$1.service" <<EOF
[Unit]
Description=The $1 application
[Service]
ExecStart=/usr/local/bin/$1-server
EOF
}
