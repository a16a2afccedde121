# title: a unit loops until its start limit; the cause is gone by then
# proves: many lines of one loop are one incident, and a restart after reset-failed heals it
# expects: restart_service
rm -f /run/price-feed.token
unit price-feed.service <<'EOF'
[Unit]
Description=Price feed
StartLimitIntervalSec=60
StartLimitBurst=3
[Service]
ExecStart=/bin/sh -c 'cat /run/price-feed.token && exec sleep infinity'
Restart=on-failure
RestartSec=200ms
EOF
systemctl start price-feed.service
recorded 'price-feed.service: Start request repeated too quickly'
recorded 'Failed to start price-feed.service'
# What it waited for comes too late: systemd has given up.
echo token >/run/price-feed.token
