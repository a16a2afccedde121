# title: somebody ran a service's program as root, and its log is root's now
# proves: the log gets back the owner that the unit declares, and the service writes again without a restart
# expects: fix_permissions
id ledger >/dev/null 2>&1 || useradd --system --no-create-home ledger
program /usr/local/bin/ledger-server <<'EOF'
#!/usr/bin/python3
import sys, time

PATH = "/var/log/ledger/ledger.log"
while True:
    try:
        with open(PATH, "a") as log:
            log.write(f"{time.time():.0f} entry booked\n")
    except OSError as error:
        print(f"ERROR: cannot open {PATH}: {error.strerror}", file=sys.stderr, flush=True)
    time.sleep(2)
EOF
unit ledger.service <<'EOF'
[Unit]
Description=The ledger
[Service]
# Started once its folder is there.
Type=exec
User=ledger
LogsDirectory=ledger
ExecStart=/usr/local/bin/ledger-server
EOF
systemctl start ledger.service
systemctl stop ledger.service
# What is left of somebody's debugging; systemd looks at the owner of the folder alone.
rm -f /var/log/ledger/ledger.log
timeout 1 /usr/local/bin/ledger-server || true
systemctl start ledger.service
recorded 'cannot open /var/log/ledger/ledger.log: Permission denied'
