"""A night at a fleet, with a month before it: what a dashboard has to show, for tests of it and for its pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator import catalog, settings
from orchestrator.domain.actions import Decision
from orchestrator.domain.exchanges import Exchange
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.ids import wave_id
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.outbreaks import MemberEnd
from orchestrator.domain.precedents import Standing, Word
from orchestrator.domain.records import Severity
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Outcome
from orchestrator.ports import SourceState
from orchestrator.record.store import open_store
from tests.support.month import month
from tests.support.story import Clock, Step, Story, Told

ACTIONS = catalog.load(settings.HOME / "playbooks", settings.HOME / "roles").actions
#: Host -> group.
FLEET = {
    **dict.fromkeys(("web1", "web2", "web3", "web4"), "web"),
    **dict.fromkeys(("app1", "app2", "app3"), "app"),
    **dict.fromkeys(("db1", "db2"), "db"),
    **dict.fromkeys(("cache1", "edge1", "build1"), "infra"),
}
#: Hosts that ask first, and the one that nobody reaches.
ASKING, AWAY = ("web3", "app1", "edge1"), "build1"
HOSTS = tuple(
    Host(
        name=name,
        groups=(group,),
        connection=Connection(kind="ssh", address=f"{name}.example.org"),
        policy=HostPolicy(mode=Mode.PROPOSE if name in ASKING else Mode.AUTO),
        origins={"healing_mode": f"inventory/{'host_vars/' + name if name in ASKING else 'group_vars/' + group}.yml:3"},
    )
    for name, group in FLEET.items()
)
#: When a host was last heard of.
_SEEN = datetime.now(UTC) - timedelta(seconds=4)
READING = tuple(
    SourceState(host=name, state="down", reason="no route to host")
    if name == AWAY
    else SourceState(host=name, state="connected", clock_offset=0.02, last_record=_SEEN)
    for name in FLEET
)
#: What a host may log, and a playbook may print: nothing of it may do anything.
EVIL = (
    "<script>alert('script')</script><img src=x onerror=alert('image')><svg onload=alert('svg')>"
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m {{ 7*7 }} <a href=\"javascript:alert('link')\">link</a> </pre></table> "
    + "W"
    * 300
)
#: Tasks of the run that has many.
MANY = 450

_LOOK = (Step("verify : Watch the unit for a moment", seconds=1.1),)
_RESTART = (
    Step("restart_service : Preflight", seconds=0.1),
    Step(
        "restart_service : Ask systemd about the unit",
        seconds=0.4,
        arguments={"argv": "systemctl show --property=Id,ActiveState,Result nginx.service"},
        printed="Id=nginx.service\nActiveState=failed\nResult=signal",
    ),
    Step("restart_service : Have the service test its configuration", seconds=0.6),
    Step("restart_service : Refuse what may not be restarted", "skipped", seconds=0.1),
    Step(
        "restart_service : Restart it, its failures forgotten",
        "changed",
        seconds=1.7,
        arguments={"name": "nginx.service", "state": "restarted"},
    ),
    Step("restart_service : Report where it must listen again", seconds=0.2, message="listens on 0.0.0.0:443"),
)
_REPORT, _IMPORT = "/usr/local/bin/nightly-report", "/opt/importer/bin/import"
_RESOLVED = "TASK [restart_network : Say what would be restarted]\nchanged: [edge1]"


def _mode(path: str) -> str:
    """The difference that an execute bit makes."""
    return f"--- before\n+++ after\n@@ -1,3 +1,3 @@\n path: {path}\n-mode: '0644'\n+mode: '0755'\n owner: root\n"


def _planned(path: str) -> str:
    """What a plan to give it says."""
    return f"TASK [fix_permissions : Give it its execute bit]\n{_mode(path)}changed: [app1]"


@dataclass(frozen=True, kw_only=True)
class Night:
    """What was told, by the names under which tests look at it: ids of incidents, questions, runs."""

    healed: str
    stuck: str
    going: str
    #: What a host logged EVIL about, where there is one; else the one that is stuck.
    hostile: str
    outbreak: str
    #: A question that is open, and the incident that it is about.
    asked: str
    asking: str
    #: Another open one, and the one that a hostile host is behind where there is one.
    asked_too: str
    hostile_asked: str
    #: The signature of the error that was healed.
    remembered: str
    answered: str
    going_run: str
    good_run: str
    failed_run: str
    plan_run: str
    hostile_run: str
    long_run: str


def tell(folder: Path, *, attacked: bool = False) -> Night:
    """A store `healer.sqlite` and artifacts in the folder, told of everything up to now; `attacked`: of EVIL, too."""
    clock = Clock()
    store = open_store(f"sqlite:///{folder / 'healer.sqlite'}", clock=clock)
    hosts = {host.name: host for host in HOSTS}
    story = Story(store=store, clock=clock, artifacts=folder / "artifacts", hosts=hosts, actions=ACTIONS)
    try:
        month(story)
        answered = _day(story)
        stuck = _evening(story)
        healed = _model(story)
        outbreak, going = _outbreak(story), _cache(story)
        asked, asked_too = _questions(story)
        attack, behind = _attack(story) if attacked else (stuck, asked_too)
        remembered = min(store.signatures(healed.id))
        # Its worker lives for as long as anybody looks.
        clock.before_end(-24 * 60)
        store.beat("worker")
    finally:
        store.close()
    return Night(
        healed=healed.id,
        stuck=stuck.id,
        going=going.id,
        hostile=attack.id,
        outbreak=outbreak,
        asked=asked.approval,
        asking=asked.id,
        asked_too=asked_too.approval,
        hostile_asked=behind.approval,
        remembered=remembered,
        answered=answered.approval,
        going_run=going.run(RunKind.ACT),
        good_run=healed.run(RunKind.ACT),
        failed_run=stuck.run(RunKind.VERIFY),
        plan_run=asked.run(RunKind.PLAN),
        hostile_run=attack.run(RunKind.ACT),
        long_run=answered.run(RunKind.ACT),
    )


def _day(story: Story) -> Told:
    """What people did, and what was noise."""
    clock, store = story.clock, story.store
    clock.before_end(20 * 60)
    store.append("session.opened", text="web:ann (approver) signed in from 192.0.2.17", actor="web:ann")
    told = story.trouble("app1", "importer.service", f"{_IMPORT}: Permission denied")
    told.chosen("fix_permissions", "The line says that the program can't be executed.", {"path": _IMPORT})
    told.asked("mode", "healing_mode is propose on app1: a person decides about fix_permissions.", _planned(_IMPORT))
    clock.on(240)
    told.answered(Answer.APPROVED, "web:ann", "the deployment lost the bit, seen with ben")
    told.moved(IncidentState.HEALING, "approved by web:ann")
    many = [Step(f"fix_permissions : Look at file {number}", seconds=0.01) for number in range(MANY)]
    told.ran(RunKind.ACT, *many, Step("fix_permissions : Give it its execute bit", "changed", diff=_mode(_IMPORT)))
    told.ran(RunKind.VERIFY, *_LOOK).healed()
    clock.before_end(17 * 60)
    denied = story.trouble("edge1", "haproxy.service", "haproxy.service: Failed with result 'exit-code'.")
    denied.chosen("restart_service", "A restart gets a failed service up.", {"service": "haproxy.service"})
    denied.asked("windows", "It is outside of healing_windows on edge1 (sat 02:00-04:00): a person decides.", "")
    clock.on(600)
    denied.answered(Answer.DENIED, "cli:ben", "we change its configuration right now")
    denied.moved(IncidentState.ESCALATED, f"{denied.approval} is denied, so nothing was done")
    denied.moved(IncidentState.EXPIRED, "closed by cli:ben: configuration mended")
    clock.before_end(9 * 60)
    noise = story.trouble("web4", "cron.service", "pam_unix(cron:session): session closed for user root error")
    noise.chosen("none", "A session that ends is no fault.")
    noise.moved(IncidentState.NOISE, "noise: a session that ends is no fault")
    clock.before_end(7 * 60)
    store.stop(actor="cli:ann", reason="move of the database")
    clock.on(1500)
    store.resume(actor="cli:ann", reason="moved")
    store.append(
        "api.called",
        text="api:pager (operator) asked from 192.0.2.9: POST /api/v1/heal, answered 202",
        actor="api:pager",
        data={"address": "192.0.2.9", "status": 202},
    )
    word = told.story.store.signatures(noise.id)
    store.record_word(
        Word(
            signature=min(word),
            template="pam_unix(cron:session): session closed for user root error",
            standing=Standing.FORBIDDEN,
            action="",
            parameters={},
            actor="cli:ann",
            reason="it is cron, every night",
            at=clock(),
        )
    )
    return told


def _evening(story: Story) -> Told:
    """What a person must look at."""
    clock = story.clock
    clock.before_end(150)
    told = story.trouble("edge1", "ssh.service", "ssh.service: Failed with result 'exit-code'.", asked_by="")
    told.chosen("restart_service", "A restart gets a failed service up.", {"service": "ssh.service"})
    reason = "ssh.service is always protected on edge1; approval can't lift that."
    told.judged(Outcome.DENIED, "protected_unit", reason)
    told.moved(IncidentState.ESCALATED, f"refused by rule protected_unit: {reason}")
    clock.before_end(95)
    told = story.trouble(
        "edge1",
        "haproxy.service",
        "SSL handshake failure: certificate has expired (CN=shop.example.org)",
        severity=Severity.CRITICAL,
    )
    reason = "an expired certificate needs a new one, and no action makes one"
    told.chosen("escalate", reason).moved(IncidentState.ESCALATED, f"no action of the whitelist helps: {reason}")
    clock.before_end(25)
    stuck = story.trouble(
        "db2",
        "postgresql.service",
        "postgresql.service: Main process exited, code=exited, status=1/FAILURE",
        "postgresql.service: Failed with result 'exit-code'.",
        "PANIC:  could not locate a valid checkpoint record at 0/1A2B3C8",
        severity=Severity.CRITICAL,
    )
    stuck.chosen("restart_service", "PID 1 says that the unit failed.", {"service": "postgresql.service"}).allowed()
    reason = "sick: postgresql.service is failed (Result: exit-code)"
    stuck.ran(RunKind.CHECK, *_LOOK, status=RunStatus.SICK, reason=reason).ran(RunKind.ACT, *_RESTART)
    failing = (*_LOOK, Step("verify : Say that it is sick", "failed", 0.1, reason))
    stuck.ran(RunKind.VERIFY, *failing, status=RunStatus.SICK, reason=reason)
    text = f"restart_service ended as succeeded and did not heal it: {reason}; it was not repeated"
    stuck.moved(IncidentState.ESCALATED, text)
    return stuck


def _model(story: Story) -> Told:
    """What a model chose, and what it was asked."""
    story.clock.before_end(14)
    told = story.trouble(
        "web2",
        "nginx.service",
        "nginx.service: Main process exited, code=killed, status=9/KILL",
        "nginx.service: Failed with result 'signal'.",
    )
    exchange = Exchange(
        at=story.clock(),
        model="gemini-2.5-flash",
        prompt_version="5b1e0c2f",
        shown='{"schema":{},"system":"Pick one candidate.","text":"nginx.service: Failed with result \'signal\'."}',
        reply='{"choice":3,"confidence":0.93,"reason":"nginx was killed; a restart brings it back."}',
        tokens_in=1412,
        tokens_out=38,
        cost=0.0005,
        seconds=0.9,
    )
    story.store.record_exchange(told.id, exchange)
    told.chosen(
        "restart_service",
        "nginx was killed by a signal and is failed since; a restart brings it back.",
        {"service": "nginx.service"},
        chooser="gemini",
        confidence=0.93,
        shown_digest=exchange.shown_digest,
    ).allowed()
    reason = "sick: nginx.service is failed (Result: signal)"
    told.ran(RunKind.CHECK, *_LOOK, status=RunStatus.SICK, reason=reason)
    return told.ran(RunKind.ACT, *_RESTART).ran(RunKind.VERIFY, *_LOOK).healed()


def _outbreak(story: Story) -> str:
    """The same error on four hosts: the canary is well again, the second wave goes on."""
    store, clock = story.store, story.clock
    clock.before_end(5)
    line = "resolve1 lookup api.example.org: Temporary failure in name resolution"
    sick = [story.trouble(host, "systemd-resolved.service", line) for host in ("app3", "web4", "web1", "db1")]
    found = store.outbreak_for(sick[0].id, hosts=3, since=clock() - timedelta(hours=1))
    assert found is not None
    decision = Decision(
        action="restart_network", parameters={}, reason="Names are not resolved any more.", chooser="embedded"
    )
    for told in sick:
        told.moved(IncidentState.PLANNING, "deciding")
        told.chosen(decision.action, f"decided once for outbreak {found.id}: {decision.reason}")
        assert store.join_outbreak(told.id, decision) == found.id
        told.allowed().moved(IncidentState.HEALING, f"allowed; waits for a wave of outbreak {found.id}")
    canary, *wave = sick
    assert store.take_member(canary.id, 1)
    canary = replace(canary, wave=wave_id(found.id, 1))
    canary.ran(RunKind.ACT, Step("restart_network : Restart systemd-resolved", "changed", 1.4)).ran(RunKind.VERIFY)
    store.end_member(canary.id, MemberEnd.VERIFIED, "verified")
    canary.healed()
    for told in wave[:2]:
        assert store.take_member(told.id, 2)
    replace(wave[0], wave=wave_id(found.id, 2), along=(wave[1].host,)).begins(RunKind.ACT)
    asking = story.trouble("edge1", "systemd-resolved.service", line)
    asking.chosen(decision.action, f"decided once for outbreak {found.id}: {decision.reason}")
    asking.asked("mode", "healing_mode is propose on edge1: a person decides about restart_network.", _RESOLVED)
    return found.id


def _cache(story: Story) -> Told:
    """What is being restarted right now."""
    story.clock.before_end(0.5)
    told = story.trouble("cache1", "redis-server.service", "redis-server.service: Failed with result 'oom-kill'.")
    told.chosen("restart_service", "The kernel killed it for want of memory.", {"service": "redis-server.service"})
    told.allowed().begins(RunKind.ACT)
    return told


def _questions(story: Story) -> tuple[Told, Told]:
    """What waits for an answer."""
    story.clock.before_end(6)
    first = story.trouble(
        "app1",
        "nightly-report.service",
        f"nightly-report.service: Failed to locate executable {_REPORT}: Permission denied",
        f"nightly-report.service: Failed at step EXEC spawning {_REPORT}: Permission denied",
    )
    reason = "The program is named, and its execution was denied: its execute bit is gone."
    first.chosen("fix_permissions", reason, {"path": _REPORT})
    planned = Step("fix_permissions : Give it its execute bit", "changed", diff=_mode(_REPORT))
    first.ran(RunKind.PLAN, Step("fix_permissions : Preflight"), planned)
    first.asked("mode", "healing_mode is propose on app1: a person decides about fix_permissions.", _planned(_REPORT))
    story.clock.before_end(3)
    line = "php8.2-fpm.service: Failed with result 'exit-code'."
    second = story.trouble("web3", "php8.2-fpm.service", line)
    second.chosen("restart_service", "A restart gets a failed service up.", {"service": "php8.2-fpm.service"})
    planned = Step("restart_service : Say what would be restarted", "changed")
    second.ran(RunKind.PLAN, planned)
    second.asked(
        "mode",
        "healing_mode is propose on web3: a person decides about restart_service.",
        "TASK [restart_service : Say what would be restarted]\nchanged: [web3]",
    )
    return first, second


def _attack(story: Story) -> tuple[Told, Told]:
    """What a hostile host does to a record: its words wherever a host's words go."""
    story.clock.before_end(2)
    first = story.trouble("app2", f"guestbook {EVIL}", f"guestbook: request failed: {EVIL}")
    first.chosen("restart_service", f"The service failed: {EVIL}", {"service": EVIL}).allowed()
    steps = (
        Step(f"Restart {EVIL}", "changed", diff=f"+{EVIL}", arguments={EVIL: EVIL}, printed=EVIL),
        Step(EVIL, "failed", message=EVIL),
    )
    first.ran(RunKind.ACT, *steps, status=RunStatus.FAILED, reason=EVIL)
    first.moved(IncidentState.ESCALATED, f"restart_service ended as failed ({EVIL}); it was not repeated")
    second = story.trouble("app3", "wiki.service", EVIL)
    second.chosen("restart_service", EVIL, {"service": EVIL})
    second.asked("mode", EVIL, f"TASK [{EVIL}]\n--- before\n+{EVIL}\nchanged: [app3]", asked_by=EVIL)
    story.store.append("test.line", text=EVIL, actor=EVIL, host=EVIL)
    return first, second
