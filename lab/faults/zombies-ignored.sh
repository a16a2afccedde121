# title: a service never asks for its dead children
# proves: where the host's policy permits it, the service that ignores SIGCHLD is restarted, and PID 1 reaps what it left
# expects: kill_zombie_process
daemon mail-filter "Mail filter" <<'EOF'
#!/usr/bin/python3
import os, sys, time

worker = os.fork()
if not worker:
    if not os.path.exists("/run/mail-filter.token"):
        os._exit(1)
    while True:
        time.sleep(60)
while True:
    with open(f"/proc/{worker}/stat") as file:
        if file.read().rpartition(")")[2].split()[0] == "Z":
            print(f"ERROR: no filter: {worker} Z 0:00 [mail-filter] <defunct>", file=sys.stderr, flush=True)
    time.sleep(3)
EOF
rm -f /run/mail-filter.token
systemctl start mail-filter.service
recorded 'mail-filter\] <defunct>'
# What its worker missed comes too late.
echo token >/run/mail-filter.token
