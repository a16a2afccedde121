# title: the resolver of names crashed until its start limit
# proves: systemd has given up; its failures are forgotten and it is started again
# expects: restart_network
name_server
for _ in $(seq 20); do
  systemctl kill --kill-who=main --signal=KILL systemd-resolved.service 2>/dev/null || true
  if systemctl is-failed --quiet systemd-resolved.service; then break; fi
  sleep 0.2
done
name_user
recorded 'systemd-resolved.service: Start request repeated too quickly'
recorded 'Temporary failure in name resolution'
