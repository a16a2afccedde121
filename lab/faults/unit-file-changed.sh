# title: a unit's drop-in was written, and systemd was not told
# proves: systemd reads its unit files again, and the service goes on in its same process
# expects: reload_config
mkdir -p /etc/systemd/system/report-api.service.d
rm -f /etc/systemd/system/report-api.service.d/*
unit report-api.service <<'EOF'
[Unit]
Description=Interface of the reports
[Service]
ExecStart=/bin/sleep infinity
EOF
systemctl start report-api.service
# A watcher that makes sure of it each some seconds, as many do; systemctl warns whoever asks.
unit report-watch.service <<'EOF'
[Unit]
Description=Watches the interface of the reports
[Service]
ExecStart=/bin/sh -c 'while :; do systemctl start report-api.service; sleep 3; done'
SyslogLevel=warning
EOF
printf '[Service]\nNice=5\n' >/etc/systemd/system/report-api.service.d/nice.conf
systemctl start report-watch.service
recorded 'report-api.service changed on disk'
