"""The production playbooks that act on files, on a real host: what they say where it matters.

Molecule proves that each action heals; here stand refusals, doubt, and rollback's care.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bad_values import NO_PATHS
from tests.support.role_stage import HOST, OK, Stage, assert_begin, service

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("role", ["fix_permissions", "free_disk_space", "rotate_logs"])
def test_what_is_no_path_is_refused(role: str, stage: Stage) -> None:
    stage.shell("install -m 0644 /bin/true '/opt/my job'; install -m 0644 /bin/true '/opt/job;reboot'")

    said = stage.refusals(f"{role}/act", [{f"{role}_path": path} for path in NO_PATHS])

    assert_begin(said, ["refused: "] * len(NO_PATHS))
    assert [one for one in said if "no absolute path in its plain form" not in one] == []
    assert all(one.isprintable() and len(one) < 400 for one in said)
    assert stage.shell("stat -c %a '/opt/my job' '/opt/job;reboot'; rm /opt/my* /opt/job*") == "644\n644"


# clear_cache -------------------------------------------------------------------------------------


def test_caches_of_which_nothing_can_be_said_are_left_alone(stage: Stage) -> None:
    stage.lab.break_("update-failed", HOST)
    left = "ls /var/lib/apt/lists /var/lib/apt/lists/partial"
    before = stage.shell(left)
    hold = (
        "import fcntl, time; lock = open('/var/lib/apt/lists/lock', 'w'); fcntl.lockf(lock, fcntl.LOCK_EX); "
        "open('/run/held', 'w'); time.sleep(60)"
    )
    stage.shell(f'systemd-run --collect --unit=holder python3 -c "{hold}"')
    stage.until("test -e /run/held")

    assert stage.run("clear_cache/verify", changed=False) == "apt is at work"
    assert stage.run("clear_cache/act", changed=False) == "refused: apt is at work"
    # It has begun after preflight had looked.
    seen = {"sick": ["apt can't read a list"], "doubt": "", "files": [], "page_cache": False}
    assert stage.run("clear_cache/act", changed=False, clear_cache_seen=seen) == "refused: apt has begun to work"
    stage.shell(
        "systemctl stop holder; echo rubbish >/etc/apt/sources.list.d/odd.list; mv /var/lib/apt/lists/partial/* /"
    )
    assert stage.run("clear_cache/act", changed=False) == (
        "refused: apt can't read what is no cache: "
        "E: Malformed line 1 in source list /etc/apt/sources.list.d/odd.list (type)"
    )
    stage.shell("rm /etc/apt/sources.list.d/odd.list; mv /127.0.0.1* /var/lib/apt/lists/partial")

    assert stage.shell(left) == before


def test_lists_that_can_t_be_fetched_again_are_told(stage: Stage) -> None:
    stage.lab.break_("lists-torn", HOST)
    stage.shell("systemctl stop nginx")

    said = stage.run("clear_cache/act", changed=True)
    stage.shell("systemctl start nginx; systemctl stop package-report")

    assert said.startswith(
        "1 files were deleted, and /var/lib/apt/lists/127.0.0.1:8099_._Packages could not be fetched"
    )
    assert "again: W: Failed to fetch http://127.0.0.1:8099/./" in said
    assert stage.run("clear_cache/verify", changed=False) == OK


def test_page_cache_is_dropped_only_where_policy_asks_for_it(stage: Stage) -> None:
    """In check mode alone: the hosts of the lab share one kernel with this machine."""
    crowded = {"clear_cache_crowded": ["100", "0"]}

    assert stage.check("clear_cache/act", changed=False, **crowded) == OK
    assert stage.check("clear_cache/act", changed=False, healing_permits=["drop_page_cache"]) == OK
    assert stage.check("clear_cache/act", changed=True, healing_permits=["drop_page_cache"], **crowded) == OK


# fix_permissions ---------------------------------------------------------------------------------


#: The folder that a service declares as its own.
LENT = "/var/log/lent"

#: How a path comes to be, and what is said of it.
NOT_TO_BE_EXECUTED = [
    (
        "ln -sfn /etc/hostname {path}",
        "refused: {path} (which is /etc/hostname) is under none of the safe directories",
    ),
    ("install -m 4644 /bin/true {path}", "refused: {path} has a setuid, setgid or sticky bit (4644)"),
    ("install -m 0666 /bin/true {path}", "refused: {path} can be written by everybody"),
    ("rm -rf {path}; mkdir {path}", "refused: {path} is no plain file"),
    ("rm -rf {path}", "refused: {path} can't be looked at (No such file or directory)"),
    (
        "rm -rf {path} /opt/odd*; cp /bin/true \"$(printf '/opt/odd\\033[2J')\"; ln -s /opt/odd* {path}",
        r"refused: /opt/odd\x1b[2J is a name with unprintable characters",
    ),
    (
        "mkdir -p /opt/noexec; mount -t tmpfs -o noexec,mode=0755 none /opt/noexec; "
        "install -m 0644 /bin/true /opt/noexec/job; ln -sfn /opt/noexec/job {path}",
        "refused: {path} (which is /opt/noexec/job) lies on a file system that is mounted noexec, so no mode",
    ),
    (
        "mkdir -p /opt/theirs; chown healer /opt/theirs; install -m 0644 /bin/true /opt/theirs/job; "
        "ln -sfn /opt/theirs/job {path}",
        "refused: {path} (which is /opt/theirs/job) lies below /opt/theirs, which belongs to healer",
    ),
    # What is no program never gets an execute bit, and an owner only where one is declared.
    (
        "echo data >{path}; chmod 0644 {path}",
        "refused: {path} is no program (neither #! nor ELF), and nothing declares whose it is",
    ),
    *(
        (
            f"{setup.format(log=f'{LENT}/{name}')}; ln -sfn {LENT}/{name} {{path}}",
            f"refused: {{path}} (which is {LENT}/{says}",
        )
        for name, setup, says in (
            (
                "inner/log",
                "mkdir -p $(dirname {log}); touch {log}",
                "inner/log) is no program (neither #! nor ELF), and nothing",
            ),
            ("a.key", "touch {log}", "a.key) is named like a secret"),
            ("closed", "echo secret >{log}; chmod 0600 {log}", "closed) can't be read by healer and is not empty"),
            ("second", "touch {log}; ln {log} {log}.too", "second) has 2 names (hard links)"),
            ("theirs", "touch {log}; chown daemon {log}", "theirs) belongs to daemon, who is neither root nor healer"),
            ("job", "install -m 0644 /bin/true {log}", "job) lies below /var/log/lent, which belongs to healer"),
            ("wide/log", "touch {log}", "wide/log) lies below /var/log/lent/wide, where the group daemon may write"),
            ("both/log", "touch {log}", "both/log) is daemon's by lent-too.service and healer's by lent.service"),
        )
    ),
]


def lend(stage: Stage) -> None:
    """Folders that services declare for the user healer, one of them for another one too."""
    ours = ("User=healer", "LogsDirectory=lent lent/wide lent/both", "Type=oneshot", "RemainAfterExit=yes")
    service(stage, "lent-too.service", "/bin/true", "User=daemon", "LogsDirectory=lent/both", *ours[2:])
    service(stage, "lent.service", "/bin/true", *ours)
    stage.shell(f"systemctl start lent-too lent; chown healer:daemon {LENT}/wide; chmod 0775 {LENT}/wide")


def test_files_that_may_not_be_touched_are_refused(stage: Stage) -> None:
    paths = [f"/usr/local/bin/refusal{number}" for number in range(len(NOT_TO_BE_EXECUTED))]
    modes = f"stat -c %U:%G:%a:%i /usr/local/bin/refusal* /opt/noexec/job /opt/theirs/job {LENT}/*"
    lend(stage)
    for path, (setup, _) in zip(paths, NOT_TO_BE_EXECUTED, strict=True):
        stage.shell(f"rm -rf {path}; " + setup.format(path=path))
    before = stage.shell(modes)

    said = stage.refusals("fix_permissions/act", [{"fix_permissions_path": path} for path in paths])

    after = stage.shell(
        f"{modes}; umount /opt/noexec; systemctl stop lent lent-too; rm -r {LENT} /etc/systemd/system/lent*; "
        "systemctl daemon-reload"
    )
    assert_begin(said, [one.format(path=path) for path, (_, one) in zip(paths, NOT_TO_BE_EXECUTED, strict=True)])
    assert after == before


def test_check_mode_tells_what_it_would_change_and_changes_nothing(stage: Stage) -> None:
    stage.shell("install -m 0644 /bin/true /opt/checked")

    assert stage.check("fix_permissions/act", changed=True, fix_permissions_path="/opt/checked") == OK
    assert stage.shell("stat -c %a /opt/checked") == "644"
    assert stage.run("fix_permissions/act", changed=True, fix_permissions_path="/opt/checked") == OK
    assert stage.check("fix_permissions/rollback", changed=True, fix_permissions_path="/opt/checked") == OK
    assert stage.shell("stat -c %a /opt/checked") == "755"
    assert stage.run("fix_permissions/act", changed=False, fix_permissions_path="/opt/checked") == OK
    assert stage.check("fix_permissions/act", changed=False, fix_permissions_path="/opt/checked") == OK
    assert stage.run("fix_permissions/rollback", changed=True, fix_permissions_path="/opt/checked") == OK
    assert stage.shell("stat -c %a /opt/checked") == "644"


def test_file_that_is_exchanged_after_preflight_is_left_alone(stage: Stage) -> None:
    """Whoever owns the folder has until the change; here the snapshot's own path is how long that lasts."""
    stage.shell("install -m 0644 /bin/true /opt/exchanged; install -m 0640 /bin/true /opt/secret")
    stage.shell("rm -rf /var/lib/healing-bot/fix_permissions")
    exchange = "until test -e /var/lib/healing-bot/fix_permissions; do :; done; ln -sfn /opt/secret /opt/exchanged"
    stage.shell(f"systemd-run --collect --unit=exchange sh -c '{exchange}'")

    said = stage.run("fix_permissions/act", fix_permissions_path="/opt/exchanged")

    assert said == "refused: /opt/exchanged is another file than the one that was looked at"
    assert stage.shell("stat -c %a /opt/secret") == "640"
    stage.shell(
        "systemctl stop exchange.service 2>/dev/null || true; rm -r /opt/exchanged /opt/secret /var/lib/healing-bot"
    )


@pytest.mark.long
def test_rollback_touches_only_what_the_act_left(stage: Stage) -> None:
    script = {"fix_permissions_path": "/opt/careful", "healing_run_id": "inc-1-act"}
    undo = script | {"healing_run_id": "inc-1-rollback"}
    stage.shell("install -m 0604 /bin/true /opt/careful")

    assert stage.run("fix_permissions/rollback", changed=False, **undo) == OK, "nothing was done, nothing to undo"
    assert stage.run("fix_permissions/act", changed=True, **script) == OK
    assert stage.shell("stat -c %a /opt/careful") == "705"
    stage.shell("chmod 0700 /opt/careful")
    assert stage.run("fix_permissions/rollback", changed=False, **undo).startswith(
        "refused: /opt/careful is another file or has another mode"
    )
    stage.shell("chmod 0705 /opt/careful")
    other = undo | {"healing_run_id": "inc-2-rollback"}
    assert stage.run("fix_permissions/rollback", changed=False, **other) == OK, "another healing's snapshot"
    assert stage.run("fix_permissions/rollback", changed=True, **undo) == OK
    assert stage.shell("stat -c %a /opt/careful; ls /var/lib/healing-bot/fix_permissions") == "604"


def test_log_that_became_root_s_is_given_back_to_the_service_and_taken_back_exactly(stage: Stage) -> None:
    stage.lab.break_("log-unwritable", HOST)
    log = {"fix_permissions_path": "/var/log/ledger/ledger.log"}
    access = "stat -c %U:%G:%a /var/log/ledger/ledger.log"

    assert stage.run("fix_permissions/verify", changed=False, **log) == (
        "sick: /var/log/ledger/ledger.log can't be written by ledger, whose it is by ledger.service "
        "(root:root 0644, should be ledger:ledger 0644)"
    )
    assert stage.check("fix_permissions/act", changed=True, **log) == OK
    assert stage.shell(access) == "root:root:644"
    assert stage.run("fix_permissions/act", changed=True, **log) == OK
    assert stage.shell(access) == "ledger:ledger:644"
    assert stage.run("fix_permissions/verify", changed=False, **log) == OK
    assert stage.run("fix_permissions/rollback", changed=True, **log) == OK
    assert stage.shell(f"systemctl stop ledger.service; {access}") == "root:root:644"


# free_disk_space ---------------------------------------------------------------------------------


def test_live_log_is_never_deleted(stage: Stage) -> None:
    stage.lab.break_("disk-full-live", HOST)

    full = "/var/log/orders is 100 % full (0 of 16 MiB available)"
    assert stage.run("free_disk_space/verify", changed=False) == f"sick: {full}"
    assert stage.run("free_disk_space/act", changed=False) == (
        f"refused: {full}, and nothing there may be deleted; the biggest file is /var/log/orders/orders.log (16 MiB) "
        "is no rotated log"
    )

    assert stage.shell("ls /var/log/orders") == "orders.log"
    stage.shell("systemctl stop orders.service && umount /var/log/orders")


def test_room_is_made_on_the_file_system_that_is_meant(stage: Stage) -> None:
    stage.lab.break_("disk-full-rotated", HOST)
    full = "sick: /var/log/shop is 100 % full (0 of 16 MiB available)"
    of = {"free_disk_space_path": "/var/log/shop/missing/shop.log"}
    other = {"free_disk_space_path": "/var/log/other.log"}
    elsewhere = {"free_disk_space_path": "/only-in-a-container/data/wal"}

    assert stage.run("free_disk_space/verify", changed=False, **of) == full
    assert stage.run("free_disk_space/verify", changed=False, **other) == OK
    assert stage.run("free_disk_space/verify", changed=False, **elsewhere) == full
    assert stage.run("free_disk_space/act", changed=False, **other) == OK
    nowhere = "nothing that may be deleted lies on the file system of /dev/null"
    assert stage.run("free_disk_space/act", changed=False, free_disk_space_path="/dev/null") == f"refused: {nowhere}"
    assert stage.run("free_disk_space/act", changed=True, **of) == OK
    assert stage.run("free_disk_space/verify", changed=False, **of) == OK
    stage.shell("systemctl stop shop.service && umount /var/log/shop")


#: Copies of the host's journal, as if archived: the days ago of the first and of the last record.
OLD_JOURNALS = """
cd /var/log/journal/* && python3 - 100:90 60:50 40:0 <<'EOF'
import struct, sys, time
text = open("system.journal", "rb").read()
for number, days in enumerate(sys.argv[1:]):
    head, tail = (int((time.time() - 86400 * float(one)) * 1e6) for one in days.split(":"))
    with open(f"system@{text[72:88].hex()}-{number:016x}-{head:016x}.journal", "wb") as file:
        file.write(text[:184] + struct.pack("<QQ", head, tail) + text[200:])
EOF
mount -o remount,size=$(($(du -sm . | cut -f1) + 1))m /var/log/journal
"""


@pytest.mark.long
def test_journals_give_no_more_room_than_it_takes_and_nothing_young(stage: Stage) -> None:
    # With this login the user's own journal is there, and does not take the room that is made.
    assert stage.run("free_disk_space/verify", changed=False) == OK
    stage.shell(OLD_JOURNALS)
    count = "find /var/log/journal/ -name '*@*.journal' | wc -l"

    assert stage.run("free_disk_space/verify", changed=False).startswith("sick: /var/log/journal is ")
    assert stage.check("free_disk_space/act", changed=True) == OK
    assert stage.shell(count) == "3"
    assert stage.run("free_disk_space/act", changed=True) == OK
    assert stage.shell(count) == "2"
    assert stage.run("free_disk_space/verify", changed=False) == OK

    stage.shell("rm -f /var/log/journal/*/*@*; mount -o remount,size=50% /var/log/journal")


# rotate_logs -------------------------------------------------------------------------------------

LOGS = "/var/log/refusals"
#: How a log comes to be, and what is said of it; `grow` makes it too large.
NOT_TO_BE_ROTATED = [
    ("/opt/app.log", "grow {path}", "{path} does not lie below /var/log"),
    ("/srv/app.log", "grow {path}", "{path} is under none of the safe directories"),
    (
        f"{LOGS}/link.log",
        "grow /etc/app.log; ln -s /etc/app.log {path}",
        "{path} (which is /etc/app.log) is under none",
    ),
    (f"{LOGS}/auth.log", "grow {path}", "{path} is a security record"),
    (f"{LOGS}/app.log.1", "grow {path}", "{path} was rotated or compressed before"),
    (f"{LOGS}/journal/x.log", "grow {path}", "{path} lies where another program keeps its files in order"),
    (f"{LOGS}/orders.db", "grow {path}", "{path} is not called as a log is"),
    (f"{LOGS}/binary.log", "truncate -s 101M {path}", "{path} is no text"),
    (f"{LOGS}/huge.log", "grow {path}; truncate -s 5G {path}", "{path} has 5120 MiB, and more than 4096 take too long"),
    (f"{LOGS}/twice.log", "grow {path}; ln {path} {path}.also", "{path} has 2 names (hard links)"),
    (
        f"{LOGS}/theirs/a.log",
        "grow {path}; chown healer {folder}",
        "{path} lies below {folder}, which belongs to healer",
    ),
    (f"{LOGS}/open/a.log", "grow {path}; chmod 0777 {folder}", "{path} lies below {folder}, where everybody may write"),
    (
        f"{LOGS}/rude.log",
        "grow {path}; systemd-run --collect --unit=rude sh -c 'exec sleep 60 <>{path}'; "
        "timeout 20 sh -c 'until readlink /proc/[0-9]*/fd/* | grep -qx {path}; do sleep 0.1; done'",
        "sleep (",
    ),
    (
        f"{LOGS}/full/a.log",
        "mount -t tmpfs -o size=16m,mode=0755 none {folder}; yes line | head -c 17M >{path} || true",
        "there is no room for a copy of {path}",
    ),
    (f"{LOGS}/gone.log", "true", "{path} can't be looked at (No such file or directory)"),
    (f"{LOGS}/folder.log", "mkdir {path}", "{path} is no plain file"),
]


def test_logs_that_may_not_be_rotated_are_refused(stage: Stage) -> None:
    steps = [f"rm -rf {LOGS}; mkdir {LOGS}; grow() {{ yes line | head -c 8k >$1; truncate -s 101M $1; }}"]
    for path, setup, _ in NOT_TO_BE_ROTATED:
        folder = str(Path(path).parent)
        steps += [f"mkdir -p {folder}", setup.format(path=path, folder=folder)]
    stage.shell("\n".join(steps))
    files = f"find {LOGS} /opt/app.log /etc/app.log /srv/app.log -type f -printf '%p %s %i\\n' | sort"
    before = stage.shell(files)

    said = stage.refusals("rotate_logs/act", [{"rotate_logs_path": path} for path, _, _ in NOT_TO_BE_ROTATED])

    after = stage.shell(files)
    stage.shell(f"systemctl stop rude; umount {LOGS}/full; rm -rf {LOGS} /opt/app.log /etc/app.log /srv/app.log")
    sentences = [one.format(path=path, folder=Path(path).parent) for path, _, one in NOT_TO_BE_ROTATED]
    assert_begin(said, [f"refused: {one}" for one in sentences])
    assert after == before


#: Two of it write numbered lines as fast as a busy service does.
FAST_WRITER = r"""
import os, sys, time
log = os.open("/var/log/fast/fast.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
number = 0
while True:
    os.write(log, b"%s %d %s\n" % (sys.argv[1].encode(), number, b"x" * 500))
    number += 1
    if number > 150000 and number % 50 == 0:
        time.sleep(0.005)
"""
#: Whether each whole line that was written is in the log or its copy, once.
COUNT = r"""
import collections, glob, gzip, re
found = collections.Counter()
(copy,) = glob.glob("/var/log/fast/fast.log-*.gz")
for lines in (gzip.open(copy), open("/var/log/fast/fast.log", "rb")):
    found.update(match[1] for match in (re.match(rb"([ab] [0-9]+) x{500}\n", line) for line in lines) if match)
last = {who: max(int(one.split()[1]) for one in found if one[:1] == who) for who in (b"a", b"b")}
assert set(found) == {b"%s %d" % (who, n) for who in last for n in range(last[who] + 1)}
assert set(found.values()) == {1}
print(min(last.values()))
"""


def test_no_line_of_a_fast_writer_is_lost(stage: Stage) -> None:
    stage.shell(f"rm -rf /var/log/fast; mkdir /var/log/fast; cat >/opt/fast.py <<'E'{FAST_WRITER}E\n")
    for who in "ab":
        stage.shell(f"systemd-run --collect --unit=fast-{who} python3 /opt/fast.py {who}")
    stage.until("[ $(stat -c %s /var/log/fast/fast.log) -gt 150000000 ]", 60)
    inode = stage.shell("stat -c %i /var/log/fast/fast.log")

    assert stage.run("rotate_logs/act", changed=True, rotate_logs_path="/var/log/fast/fast.log") == OK

    stage.shell("systemctl stop fast-a fast-b")
    assert int(stage.shell(f"python3 - <<'E'{COUNT}E\n")) >= 0
    assert stage.shell("stat -c %i:%a /var/log/fast/fast.log; stat -c %a /var/log/fast/*.gz") == f"{inode}:640\n640"
    stage.shell("rm -r /var/log/fast /opt/fast.py")


def test_log_that_a_configuration_owns_is_rotated_by_it_alone(stage: Stage) -> None:
    daemon = "while :; do sleep 100 >>/var/log/owned/a.log; done"
    reopen = "postrotate\n pkill -x -f 'sleep 100' # }\nendscript"
    stage.shell(
        f"mkdir -p /var/log/owned; systemd-run --collect --unit=owned sh -c '{daemon}';"
        "for n in a b; do yes line | head -c 101M >>/var/log/owned/$n.log; done;"
        f'printf "/var/log/owned/*.log\n{{\nrotate 2\ndaily\n{reopen}\n}}\n" >/etc/logrotate.d/owned'
    )
    owned = {"rotate_logs_path": "/var/log/owned/a.log"}

    assert stage.check("rotate_logs/act", changed=True, **owned) == OK
    assert stage.shell("ls /var/log/owned") == "a.log\nb.log"
    assert stage.run("rotate_logs/act", changed=True, **owned) == OK
    assert stage.shell("ls /var/log/owned; stat -c %s /var/log/owned/a.log") == "a.log\na.log.1\nb.log\n0"
    assert stage.run("rotate_logs/act", changed=False, **owned) == OK
    stage.shell("systemctl stop owned; rm -r /var/log/owned /etc/logrotate.d/owned")


def test_rotation_that_failed_is_run_again_and_a_torn_state_is_kept(stage: Stage) -> None:
    stage.lab.break_("rotation-failed", HOST)

    assert stage.run("rotate_logs/verify", changed=False) == "sick: logrotate.service is failed (Result=exit-code)"
    stage.shell("echo torn >/var/lib/logrotate/status; echo '/var/log/x.log,{y {' >/etc/logrotate.d/broken")
    assert stage.run("rotate_logs/act", changed=False).startswith("refused: logrotate --debug says: broken:1 ")
    stage.shell("rm /etc/logrotate.d/broken")
    assert stage.run("rotate_logs/act", changed=True, rotate_logs_path="/var/log/nginx/access.log") == OK
    assert stage.run("rotate_logs/verify", changed=False) == OK
    assert stage.shell("cat /var/lib/logrotate/status.broken-*; rm /var/lib/logrotate/status.broken-*") == "torn"
