# title: the rotation of logs fails on a torn state file
# proves: the rotation is run once more, as the host does it, and ends well
# expects: rotate_logs
systemctl reset-failed logrotate.service
# What a machine that lost its power leaves: a year before any log was written.
cat >/var/lib/logrotate/status <<'EOF'
logrotate state -- version 2
"/var/log/wtmp" 2026-1-1-0:0:0
"/var/log/nginx/access.log" 1969-12-31-23:59:59
EOF
if systemctl start logrotate.service; then exit 1; fi
recorded 'bad year 1969 for file /var/log/nginx/access.log in state file /var/lib/logrotate/status'
recorded "logrotate.service: Failed with result 'exit-code'"
