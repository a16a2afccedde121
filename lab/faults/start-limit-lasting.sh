# title: a unit loops until its start limit, and would again
# proves: a restart that does not help is found out by verify, and a person is told
# expects: escalate
rm -f /run/tax-feed.token
unit tax-feed.service <<'EOF'
[Unit]
Description=Tax feed
StartLimitIntervalSec=60
StartLimitBurst=3
[Service]
ExecStart=/bin/sh -c 'cat /run/tax-feed.token && exec sleep infinity'
Restart=on-failure
RestartSec=200ms
EOF
systemctl start tax-feed.service
recorded 'tax-feed.service: Start request repeated too quickly'
recorded 'Failed to start tax-feed.service'
