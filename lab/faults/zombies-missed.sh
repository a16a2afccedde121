# title: a service misses the end of its children
# proves: SIGCHLD has a parent reap the zombies that it overlooked; nothing is killed, nothing restarted
# expects: kill_zombie_process
# It reaps one child a signal, but of signals that come together the kernel delivers one. A classic.
daemon thumbnailer "Thumbnailer" <<'EOF'
#!/usr/bin/python3
import os, signal, sys, time

def reap(*_):
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass

def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""

signal.signal(signal.SIGCHLD, reap)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
workers = []
for _ in range(5):
    pid = os.fork()
    if not pid:
        os._exit(0)
    workers.append(pid)
time.sleep(1)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
while True:
    workers = [pid for pid in workers if state(pid) == "Z"]
    for pid in workers[:1]:
        print(f"ERROR: worker {pid} is a zombie: [thumbnailer] <defunct>", file=sys.stderr, flush=True)
    time.sleep(3)
EOF
systemctl start thumbnailer.service
recorded 'thumbnailer\] <defunct>'
