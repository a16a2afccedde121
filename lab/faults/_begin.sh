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

# daemon NAME DESCRIPTION: a service that runs the program on standard input; not started.
daemon() {
  program "/usr/local/bin/$1"
  unit "$1.service" <<EOF
[Unit]
Description=$2
[Service]
ExecStart=/usr/local/bin/$1
EOF
}

# small_filesystem FOLDER: 16 MB of its own for a service's logs, empty.
small_filesystem() {
  mkdir -p "$1"
  while mountpoint --quiet "$1"; do umount --lazy "$1"; done
  mount -t tmpfs -o size=16m,mode=0755 tmpfs "$1"
}

# filled_with_old_logs NAME: rotated logs of 10 days ago take all of the file system of /var/log/NAME.
filled_with_old_logs() {
  # The live log exists but has not a single block, so the very first write fails.
  : >"/var/log/$1/$1.log"
  number=0
  while number=$((number + 1)); head -c 2M /dev/urandom >"/var/log/$1/$1.log.$number" 2>/dev/null; do
    [ "$number" -lt 50 ]
  done
  find "/var/log/$1" -name "$1.log.*" -empty -delete
  for file in "/var/log/$1/$1.log."*; do
    case $file in *[02468]) mv "$file" "$file.gz"; file=$file.gz ;; esac
    touch --date='10 days ago' "$file"
  done
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

# package_archive: one package in an archive of this host's own, served by nginx: the only one that apt asks here.
package_archive() {
  mkdir -p /srv/packages
  printf 'Package: lab-tool\nVersion: 1.0\nArchitecture: all\nMaintainer: Lab <lab@example.com>\nFilename: ./lab-tool.deb\nSize: 1\nSHA256: %s\nDescription: a tool\n' \
    "$(printf x | sha256sum | cut -d' ' -f1)" >/srv/packages/Packages
  package_release </srv/packages/Packages
  echo 'server { listen 127.0.0.1:8099; root /srv/packages; }' >/etc/nginx/conf.d/packages.conf
  systemctl reset-failed nginx.service
  systemctl restart nginx.service
  : >/etc/apt/sources.list
  echo 'deb [trusted=yes] http://127.0.0.1:8099/ ./' >/etc/apt/sources.list.d/lab.list
  rm -rf /var/lib/apt/lists/*_* /var/lib/apt/lists/partial/*
  apt-get -qq update
}

# package_release: the archive's Release, with the sum of what is on standard input.
package_release() {
  printf 'Date: %s\nSHA256:\n %s %s Packages\n' "$(date --utc '+%a, %d %b %Y %H:%M:%S UTC')" "$(sha256sum | cut -d' ' -f1)" \
    "$(stat --format=%s /srv/packages/Packages)" >/srv/packages/Release
}

# name_server: a name server of this host's own, which knows one address for every name, for systemd-resolved to ask.
name_server() {
  daemon lab-names "The name server of the lab" <<'EOF'
#!/usr/bin/python3
import socket, struct

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 5353))
    while True:
        question, asker = server.recvfrom(4096)
        end = question.index(b"\0", 12) + 5
        address = question[end - 4 : end] == b"\0\1\0\1"
        answer = question[:2] + struct.pack(">HHHHH", 0x8580, 1, int(address), 0, 0) + question[12:end]
        if address:
            answer += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton("192.0.2.1")
        server.sendto(answer, asker)
EOF
  systemctl start lab-names.service
  mkdir -p /etc/systemd/resolved.conf.d
  printf '[Resolve]\nDNS=127.0.0.1:5353\nDomains=~.\nDNSSEC=no\n' >/etc/systemd/resolved.conf.d/lab.conf
  systemctl reset-failed systemd-resolved.service
  systemctl restart systemd-resolved.service
}

# name_user: a service that resolves a name again and again and says when it can't.
name_user() {
  daemon partner-feed "The partner's feed" <<'EOF'
#!/usr/bin/python3
import os, socket, sys, time

os.environ["RES_OPTIONS"] = "timeout:1 attempts:2"
while True:
    try:
        socket.getaddrinfo("partner.example", 443)
    except OSError as error:
        print(f"ERROR: partner.example: {error}", file=sys.stderr, flush=True)
    time.sleep(2)
EOF
  systemctl start partner-feed.service
}

# unread_site NAME PORT DIRECTIVES: nginx runs, and a site is written that it was not told of; a service looks for it.
unread_site() {
  systemctl stop 'shop-*-check.service'
  rm -f /etc/nginx/conf.d/shop-*.conf
  systemctl reset-failed nginx.service
  systemctl start nginx.service
  systemctl reload nginx.service
  daemon "$1-check" "Looks at the site $1" <<EOF
#!/usr/bin/python3
import sys, time, urllib.request

while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:$2/", timeout=5).read()
    except OSError:
        print("ERROR: nginx.service: its configuration /etc/nginx/conf.d/$1.conf has changed and is not loaded",
              file=sys.stderr, flush=True)
    time.sleep(3)
EOF
  # Later than the reload by the clock of files too.
  sleep 1
  printf 'server { listen 127.0.0.1:%s; %s }\n' "$2" "$3" >"/etc/nginx/conf.d/$1.conf"
  systemctl start "$1-check.service"
}
