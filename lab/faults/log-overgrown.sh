# title: a live log that nobody rotates grows too large
# proves: its beginning is moved into a compressed copy while the service goes on writing, and no line is lost
# expects: rotate_logs
log_writer billing
mkdir -p /var/log/billing
systemctl stop billing.service
yes 'invoice sent' | head -c 120M >/var/log/billing/billing.log
systemctl start billing.service
daemon log-watch "Looks for logs that nobody rotates" <<'EOF'
#!/usr/bin/python3
import os, sys, time

PATH = "/var/log/billing/billing.log"
while True:
    size = os.path.getsize(PATH) / 2**20
    if size > 100:
        print(f"ERROR: {PATH} has grown to {size:.1f} MiB: it is not rotated", file=sys.stderr, flush=True)
    time.sleep(3)
EOF
systemctl start log-watch.service
recorded 'billing.log has grown to .* it is not rotated'
