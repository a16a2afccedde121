# title: a unit's script lost its execute bit
# proves: 203/EXEC is healed by giving the bit back; the unit's timer then runs it again within 3 seconds
# expects: fix_permissions
systemctl stop stock-sync.timer 2>/dev/null || true
program /usr/local/bin/stock-sync <<'EOF'
#!/bin/sh
date >/run/stock-sync.done
EOF
chmod a-x /usr/local/bin/stock-sync
rm -f /run/stock-sync.done
# No start limit: the timer alone would reach it, and this fault is about the bit.
unit stock-sync.service <<'EOF'
[Unit]
Description=Stock synchronisation
StartLimitIntervalSec=0
[Service]
Type=oneshot
ExecStart=/usr/local/bin/stock-sync
EOF
unit stock-sync.timer <<'EOF'
[Unit]
Description=Stock synchronisation every 3 seconds
[Timer]
OnCalendar=*:*:0/3
AccuracySec=100ms
EOF
systemctl start stock-sync.timer
recorded 'stock-sync: Permission denied'
recorded "stock-sync.service: Failed with result 'exit-code'"
