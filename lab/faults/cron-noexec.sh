# title: a cron job's script lost its execute bit
# proves: the bit is given back, and the job that runs every minute works again
# expects: fix_permissions
program /usr/local/bin/nightly-report <<'EOF'
#!/bin/sh
date >/run/nightly-report.done
EOF
# cron throws output away where there is no mail program, so operators wrap jobs like this. @reboot saves the minute.
cat >/etc/cron.d/nightly-report <<'EOF'
* * * * * root systemd-cat --identifier=nightly-report --stderr-priority=err sh -c /usr/local/bin/nightly-report
@reboot   root systemd-cat --identifier=nightly-report --stderr-priority=err sh -c /usr/local/bin/nightly-report
EOF
chmod 0644 /etc/cron.d/nightly-report
chmod a-x /usr/local/bin/nightly-report
rm -f /run/crond.reboot /run/nightly-report.done
systemctl reset-failed cron.service 2>/dev/null || true
systemctl restart cron.service
recorded '/usr/local/bin/nightly-report: Permission denied'
