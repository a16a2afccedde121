# title: a service that its socket starts crashes until both hit the start limit; the cause is gone by then
# proves: the failed socket is started again with the service, for a service alone would run and listen nowhere
# expects: restart_service
rm -f /run/quotes.token
program /usr/local/bin/quotes <<'PROGRAM'
#!/usr/bin/python3
import socket

with socket.socket(fileno=3) as server:
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(b"quote\n")
PROGRAM
unit quotes.socket <<'UNIT'
[Socket]
ListenStream=127.0.0.1:7411
UNIT
unit quotes.service <<'UNIT'
[Unit]
Description=Quotes of the day
[Service]
ExecStart=/bin/sh -c "test -e /run/quotes.token && exec /usr/local/bin/quotes"
UNIT
systemctl start quotes.socket
# systemd starts it again and again for the one client that waits.
python3 -c 'import socket; socket.create_connection(("127.0.0.1", 7411)).recv(9)' 2>/dev/null || true
recorded 'quotes.service: Start request repeated too quickly'
recorded "quotes.socket: Failed with result 'service-start-limit-hit'"
# What it waited for comes too late: systemd has given up.
echo token >/run/quotes.token
