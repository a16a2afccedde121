"""The production playbooks that act on units and processes, on a real host: what they say where it matters.

Molecule proves that each action heals; here stand refusals, doubt, and rollback's care.
"""

from __future__ import annotations

import re

import pytest

from tests.support.bad_values import NO_NAMES
from tests.support.role_stage import HOST, OK, Stage, assert_begin, service

pytestmark = pytest.mark.lab


# restart_service ---------------------------------------------------------------------------------


def test_killed_nginx_is_sick_then_restarted_then_well(stage: Stage) -> None:
    stage.lab.break_("nginx-killed", HOST)

    nginx = {"restart_service_service": "nginx.service"}
    assert stage.run("restart_service/verify", changed=False, **nginx) == (
        "sick: nginx.service is failed (Result=signal)"
    )
    assert stage.run("restart_service/act", changed=True, **nginx) == OK
    assert stage.run("restart_service/verify", changed=False, **nginx) == OK


NOT_TO_BE_RESTARTED = {
    "sshd.service": "refused: ssh.service is protected (as ",
    "dbus-org.freedesktop.resolve1.service": "refused: systemd-resolved.service is protected (as ",
    "user@0": "refused: user@0.service is protected (as ",
    "cron.service": "refused: cron.service is protected (as cron",
    "NGINX*": "refused: this is no name of a service: NGINX*",
    "--help": "refused: this is no name of a service: --help",
    "nginx.service\n": "refused: this is no name of a service: nginx.service?",
    "nginx\x1b[2J": "refused: this is no name of a service: nginx?[2J",
    "nginx.socket": "refused: systemd has no loaded unit nginx.socket (not-found)",
    "multi-user.target": "refused: multi-user.target is no service",
}


def test_services_that_may_not_be_restarted_are_refused(stage: Stage) -> None:
    said = stage.refusals(
        "restart_service/act",
        [{"restart_service_service": name} for name in NOT_TO_BE_RESTARTED],
        healing_protected_services=["cr[o]n*", "Backup.service"],
    )

    assert_begin(said, list(NOT_TO_BE_RESTARTED.values()))


def test_service_is_not_started_on_a_configuration_that_its_own_test_calls_broken(stage: Stage) -> None:
    stage.lab.break_("nginx-broken", HOST)
    nginx = {"restart_service_service": "nginx.service"}
    for name in ("php-fpm", "php8.2-fpm"):
        service(stage, f"{name}.service", "/bin/false")
    # Debian's packages have a version in their names, Fedora's have none.
    stage.shell(
        "printf '#!/bin/sh\\necho \"ERROR: $0 $*\" >&2; exit 78\\n' | tee /usr/bin/php-fpm >/usr/bin/php-fpm8.2; "
        "chmod +x /usr/bin/php-fpm*; systemctl start php-fpm php8.2-fpm"
    )
    stage.until("systemctl is-failed --quiet php-fpm && systemctl is-failed --quiet php8.2-fpm")

    said, *php = stage.refusals(
        "restart_service/act", [nginx, *({"restart_service_service": name} for name in ("php-fpm", "php8.2-fpm"))]
    )
    stage.shell("rm /etc/nginx/conf.d/shop-broken.conf /usr/bin/php-fpm* /etc/systemd/system/php*-fpm.service")

    assert said.startswith("refused: nginx.service would be started with a broken configuration, `nginx -t -q` says: ")
    assert 'unknown directive "retrun" in /etc/nginx/conf.d/shop-broken.conf:1' in said
    assert [one.partition("with a broken configuration, ")[2] for one in php] == [
        "`php-fpm -t` says: ERROR: /usr/bin/php-fpm -t",
        "`php-fpm8.2 -t` says: ERROR: /usr/bin/php-fpm8.2 -t",
    ]
    assert stage.run("restart_service/act", changed=True, **nginx) == OK


def test_service_that_somebody_stopped_is_left_alone(stage: Stage) -> None:
    service(stage, "stopped.service", "/bin/sleep infinity")
    stage.shell("systemctl start stopped.service && systemctl stop stopped.service")
    # Not a clean end for a program without a handler, unless systemd was asked for it.
    assert stage.shell("systemctl is-active stopped.service || true") == "inactive"

    told = {"restart_service_service": "stopped"}
    assert stage.run("restart_service/verify", changed=False, **told) == (
        "stopped.service was stopped cleanly, so somebody wanted it so; it is not started again"
    )
    assert stage.run("restart_service/act", changed=False, **told) == (
        "refused: stopped.service was stopped cleanly, so somebody wanted it so"
    )


def test_old_daemon_that_is_gone_and_counts_as_active_is_doubt(stage: Stage) -> None:
    """As systemd runs an init script that names no pid file."""
    start = '/bin/sh -c "sleep 600 &"'
    service(stage, "old.service", start, "Type=forking", "RemainAfterExit=yes", "GuessMainPID=no")
    stage.shell("systemctl start old.service")
    old = {"restart_service_service": "old.service"}
    assert stage.run("restart_service/verify", changed=False, **old) == OK

    stage.shell("systemctl kill --signal=KILL old.service")
    stage.until("systemctl show old.service | grep -qx SubState=exited")
    said = stage.run("restart_service/verify", changed=False, **old)

    stage.shell("systemctl stop old.service")
    assert said == "old.service counts as active, but none of its processes is left"


def test_service_that_keeps_crashing_is_sick(stage: Stage) -> None:
    service(stage, "loop.service", "/bin/sh -c 'exec sleep 0.3'", "Restart=always", "[Unit]", "StartLimitIntervalSec=0")
    stage.shell("systemctl start loop.service")

    assert stage.run("restart_service/verify", restart_service_service="loop.service").startswith("sick: loop.service ")

    stage.shell("systemctl stop loop.service")


def test_finished_one_shot_is_well_and_an_unknown_unit_is_doubt(stage: Stage) -> None:
    service(stage, "once.service", "/bin/true", "Type=oneshot")
    stage.shell("systemctl start once.service")

    assert stage.run("restart_service/verify", restart_service_service="once.service") == OK
    assert stage.run("restart_service/verify", restart_service_service="nothing.service") == (
        "systemd has no loaded unit nothing.service (not-found)"
    )


@pytest.mark.long
def test_socket_that_failed_with_its_service_is_started_again(stage: Stage) -> None:
    stage.lab.break_("socket-limit", HOST)
    ask = "python3 -c 'import socket; print(socket.create_connection((\"127.0.0.1\", 7411)).recv(9))'"
    quotes = {"restart_service_service": "quotes.service"}

    assert (
        stage.run("restart_service/verify", changed=False, **quotes)
        == "sick: quotes.service is failed (Result=exit-code)"
    )
    assert stage.refusals("restart_service/act", [quotes], healing_protected_services=["quotes.socket"]) == [
        "refused: quotes.service is protected (as quotes.socket)"
    ]
    assert stage.run("restart_service/act", changed=True, **quotes) == OK
    assert stage.run("restart_service/verify", changed=False, **quotes) == OK
    assert stage.shell(ask) == "b'quote\\n'"

    # At rest it is well for as long as its socket listens.
    stage.shell("systemctl stop quotes.service")
    assert stage.run("restart_service/verify", changed=False, **quotes) == OK
    stage.shell("systemctl stop quotes.socket")
    assert "was stopped cleanly" in stage.run("restart_service/verify", changed=False, **quotes)


@pytest.mark.long
def test_instance_of_a_template_is_restarted(stage: Stage) -> None:
    service(stage, "worker@.service", "/usr/bin/tail -f /run/%i")
    stage.shell("rm -f /run/blue; systemctl start worker@blue")
    stage.until("systemctl is-failed --quiet worker@blue")
    stage.shell("touch /run/blue")
    worker = {"restart_service_service": "worker@blue.service"}

    assert stage.check("restart_service/act", changed=True, **worker) == OK
    assert stage.run("restart_service/act", changed=True, **worker) == OK
    assert stage.run("restart_service/verify", changed=False, **worker) == OK

    stage.shell("systemctl stop worker@blue; rm /run/blue")


#: Crashes more than once a second, and listens meanwhile for as long as its file is there.
FLAPPING = """#!/usr/bin/python3
import os, socket, time
with socket.socket() as server, socket.socket(socket.AF_UNIX) as local:
    if os.path.exists("/run/flap.listens"):
        server.bind(("127.0.0.1", 7412))
        server.listen()
        if os.path.exists("/run/flap.sock"):
            os.unlink("/run/flap.sock")
        local.bind("/run/flap.sock")
        local.listen()
    time.sleep(0.4 if os.path.exists("/run/flap.listens") else 999)
    raise SystemExit(3)
"""


@pytest.mark.long
def test_service_that_listens_no_more_or_is_restarted_after_the_act_is_not_healed(stage: Stage) -> None:
    stage.shell(
        f"cat >/usr/local/bin/flap <<'EOF'\n{FLAPPING}EOF\nchmod +x /usr/local/bin/flap; touch /run/flap.listens"
    )
    service(stage, "flap.service", "/usr/local/bin/flap", "Restart=always", "[Unit]", "StartLimitIntervalSec=0")
    stage.shell("systemctl start flap")
    stage.until("! systemctl show -p NRestarts flap | grep -q =0")
    flap = {"restart_service_service": "flap.service"}

    assert stage.run("restart_service/verify", changed=False, **flap).startswith("sick: flap.service ")
    # Stopped while it listens, and not on its way there.
    stage.shell(
        "until systemctl kill --signal=STOP flap; ss -ltn | grep -q :7412 && ss -lx | grep -q /run/flap.sock; do "
        "systemctl kill --signal=CONT flap; sleep 0.1; done; rm /run/flap.listens"
    )
    assert stage.run("restart_service/act", changed=True, **flap) == OK
    assert stage.run("restart_service/verify", changed=False, **flap) == (
        "sick: flap.service does not listen any more on tcp 127.0.0.1:7412, unix /run/flap.sock"
    )
    stage.shell("sed -i s/listened/was/ /run/healing-bot/restart_service/flap.service.json; systemctl restart flap")
    assert "so somebody else restarts it" in stage.run("restart_service/verify", changed=False, **flap)
    stage.shell("systemctl kill --signal=KILL flap")
    stage.until("systemctl show flap | grep -qx NRestarts=1")
    assert stage.run("restart_service/verify", changed=False, **flap) == (
        "sick: flap.service keeps restarting (1 times so far)"
    )

    stage.shell("systemctl stop flap")


# reload_config -----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["reload_config", "restart_service"])
def test_what_is_no_name_of_a_unit_is_refused(role: str, stage: Stage) -> None:
    cases = [{f"{role}_service": name} for name in NO_NAMES]

    said = stage.refusals(f"{role}/act", cases)
    # Control characters, and a look-alike.
    doubts = stage.refusals(f"{role}/verify", cases[-8:-4])

    assert_begin(said, ["refused: this is no name of a "] * len(NO_NAMES))
    assert_begin(doubts, ["this is no name of a "] * 4)
    assert all(one.isprintable() and len(one) < 400 for one in said + doubts)


def test_services_that_may_not_be_reloaded_are_refused(stage: Stage) -> None:
    service(stage, "still.service", "/bin/sleep infinity")
    service(stage, "resting.service", "/bin/sleep infinity")
    stage.shell("systemctl start still.service; sleep 0.1; echo new >/etc/still.conf")
    cases = {
        "sshd": "refused: ssh.service is protected (as sshd)",
        "systemd-journald.service": "refused: systemd-journald.service is protected (as systemd-journald.service)",
        "cron": "refused: cron.service is protected (as cron)",
        "nothing.service": "refused: systemd has no loaded unit nothing.service (not-found)",
        "resting": "refused: resting.service is inactive, so it can't reload",
        "still": "refused: still.service can't reload, and a reload must not become a restart",
    }
    before = stage.shell("systemctl show --property=MainPID --value still")

    said = stage.refusals(
        "reload_config/act", [{"reload_config_service": name} for name in cases], healing_protected_services=["cr[o]n"]
    )

    assert said == list(cases.values())
    assert stage.shell("systemctl show --property=MainPID --value still") == before
    stage.shell("systemctl stop still; rm /etc/still.conf")


def test_reload_that_fails_says_what_is_left(stage: Stage) -> None:
    service(stage, "sulky.service", "/bin/sleep infinity", "ExecReload=/bin/false")
    stage.shell("systemctl start sulky.service; sleep 0.1; echo new >/etc/sulky.conf")

    said = stage.run("reload_config/act", changed=False, reload_config_service="sulky")

    stage.shell("systemctl stop sulky; rm /etc/sulky.conf")
    assert said.startswith(
        "the reload of sulky.service failed, so it may run on with its former configuration (Job for sulky"
    )


def test_broken_configuration_is_refused_in_the_words_of_the_service_s_own_test(stage: Stage) -> None:
    stage.lab.break_("config-broken", HOST)
    nginx = {"reload_config_service": "nginx"}

    assert stage.run("reload_config/verify", changed=False, **nginx) == (
        "sick: nginx.service runs on an older configuration than lies on the disk (/etc/nginx/conf.d/shop-back.conf)"
    )
    said = stage.run("reload_config/act", changed=False, **nginx)
    stage.shell("systemctl reload nginx || true")
    # A reload that failed has read nothing.
    again = stage.run("reload_config/act", changed=False, **nginx)
    stage.shell("rm /etc/nginx/conf.d/shop-back.conf; systemctl stop shop-back-check")

    for one in (said, again):
        assert one.startswith("refused: nginx -t -q says: ")
        assert 'unknown directive "retrun" in /etc/nginx/conf.d/shop-back.conf:1' in one


# kill_zombie_process -----------------------------------------------------------------------------


def test_zombies_of_a_protected_service_are_left_alone(stage: Stage) -> None:
    stage.lab.break_("zombies-missed", HOST)

    said = stage.run("kill_zombie_process/act", changed=False, healing_protected_services=["thumb*.service"])

    assert re.fullmatch(
        r"refused: thumbnailer \(\d+, thumbnailer.service\), which belongs to thumbnailer.service, which is protected",
        said,
    )
    assert stage.check("kill_zombie_process/act", changed=True) == OK
    assert stage.run("kill_zombie_process/verify", changed=False).startswith("sick: 4 zombies stay ([thumbnailer] (")
    stage.shell("systemctl stop thumbnailer.service")


@pytest.mark.long
def test_service_that_does_not_reap_is_restarted_only_where_policy_permits_it(stage: Stage) -> None:
    stage.lab.break_("zombies-ignored", HOST)
    started = stage.shell("systemctl show --property=ExecMainPID --value mail-filter.service")

    assert stage.run("kill_zombie_process/act", changed=True) == OK
    assert stage.run("kill_zombie_process/verify").endswith(f"mail-filter ({started}, mail-filter.service)")
    assert stage.shell("systemctl show --property=ExecMainPID --value mail-filter.service") == started
    assert stage.run("kill_zombie_process/act", changed=True, healing_permits=["restart_zombie_parent"]) == OK
    assert stage.run("kill_zombie_process/verify", changed=False) == OK
    assert stage.run("kill_zombie_process/act", changed=False, healing_permits=["restart_zombie_parent"]) == OK
    stage.lab.break_("zombies-ignored", HOST)
    drop_in = "/run/systemd/system/mail-filter.service.d/sulky.conf"
    stage.shell(f"mkdir {drop_in.rpartition('/')[0]}; printf '[Service]\\nExecStartPre=/bin/false\\n' >{drop_in}")
    stage.shell("systemctl daemon-reload")

    said = stage.run("kill_zombie_process/act", changed=True, healing_permits=["restart_zombie_parent"])

    down = "the restart of mail-filter.service, whose main process does not reap, failed, so it may be down ("
    assert said.startswith(f"{down}Job for mail-filter.service failed")
    stage.shell(f"rm {drop_in}; systemctl daemon-reload")
    stage.lab.break_("zombies-ignored", HOST)
    # For systemd this start is a success, and the service ends a moment later.
    stage.shell(f"printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >{drop_in}; systemctl daemon-reload")

    said = stage.run("kill_zombie_process/act", changed=True, healing_permits=["restart_zombie_parent"])

    assert said == f"{down}failed)"
    stage.shell(f"rm -r {drop_in.rpartition('/')[0]}; systemctl daemon-reload; systemctl stop mail-filter.service")


# restart_network ---------------------------------------------------------------------------------


def test_resolver_that_nobody_may_touch_is_refused(stage: Stage) -> None:
    stage.lab.break_("resolver-hung", HOST)

    assert stage.run("restart_network/act", changed=False, healing_protected_services=["systemd-resolved"]) == (
        "refused: systemd-resolved.service is protected on this host"
    )
    assert stage.check("restart_network/act", changed=True) == OK
    stage.shell("systemctl kill --signal=CONT systemd-resolved; systemctl stop partner-feed systemd-resolved")
    stopped = "systemd-resolved.service was stopped cleanly, so somebody wanted it so"
    assert stage.run("restart_network/act", changed=False) == f"refused: {stopped}"
    assert stage.run("restart_network/verify", changed=False) == stopped
    stage.shell("rm /etc/systemd/resolved.conf.d/lab.conf; systemctl start systemd-resolved")
    assert stage.run("restart_network/act", changed=False).startswith("refused: systemd-resolved knows no name server")
