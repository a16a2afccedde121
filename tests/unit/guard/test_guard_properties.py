"""What holds for every question: policy can be made stricter by what it learns, never looser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.actions import Action, Decision, Parameter, ParameterSource, Risk
from orchestrator.domain.fleet import FleetAttempt, FleetLimits, FleetState, Place
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.ids import Signature
from orchestrator.domain.verdicts import Attempt, Facts, Outcome, PathFacts, UnitFacts
from orchestrator.domain.windows import is_open, read_window
from orchestrator.guard.judge import RULES, judge
from orchestrator.guard.question import Question

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UNITS = (
    "nginx.service",
    "nginx",
    "ssh.service",
    "sshd",
    "systemd-resolved",
    "web@1.service",
    "-x",
    "a;b",
    "",
)
PATHS = ("/opt/app/run.sh", "/var/log/a.log", "/etc/shadow", "/opt/../etc/x", "/opt", "/home/a/.ssh/rc", "x")
STRICTNESS = {
    outcome: strictness
    for strictness, outcome in enumerate(
        [Outcome.ALLOWED, Outcome.WAITS, Outcome.NEEDS_APPROVAL, Outcome.UNKNOWN, Outcome.DENIED]
    )
}
SIGNATURES = st.frozensets(st.sampled_from([Signature("a"), Signature("b")]), max_size=2)


def _action(name: str, parameters: Mapping[str, ParameterSource], risk: Risk = Risk.MEDIUM) -> Action:
    return Action(
        id=name,
        title="",
        when="",
        not_when="",
        risk=risk,
        reversible=False,
        task_timeout=30,
        run_timeout=60,
        settle_seconds=1,
        hold_seconds=1,
        parameters=tuple(
            Parameter(name=key, type="str", required=True, description="", source=source)
            for key, source in parameters.items()
        ),
    )


ACTIONS = {
    "restart_service": _action("restart_service", {"service": ParameterSource.UNIT}),
    "fix_permissions": _action("fix_permissions", {"path": ParameterSource.PATH}),
    "free_disk_space": _action("free_disk_space", {}, Risk.HIGH),
    "restart_network": _action("restart_network", {"service": ParameterSource.UNIT}),
}
PARAMETERS = st.fixed_dictionaries({}, optional={"service": st.sampled_from(UNITS), "path": st.sampled_from(PATHS)})


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    return Attempt(
        host=draw(st.sampled_from(["web1", "web2"])),
        action=draw(st.sampled_from(sorted(ACTIONS))),
        parameters=draw(PARAMETERS),
        signatures=draw(SIGNATURES),
        at=NOW - timedelta(seconds=draw(st.sampled_from([-90000, -5, 0, 1, 59, 60, 4000, 86399, 86400, 90000]))),
    )


HOSTS = st.builds(
    lambda mode, limit, protected, windows, risk: Host(
        name="web1",
        groups=(),
        connection=Connection(kind="ssh", address="192.0.2.1"),
        policy=HostPolicy(mode=mode, max_attempts=limit, protected_services=protected, windows=windows, max_risk=risk),
    ),
    st.sampled_from(Mode),
    st.integers(0, 3),
    st.sampled_from([frozenset[str](), frozenset({"nginx"})]),
    st.sampled_from([None, None, (read_window("10:00-14:00 UTC"),), (read_window("10:00-11:00 UTC"),)]),
    st.sampled_from(Risk),
)
UNIT_FACTS = st.builds(
    lambda id, load, required_by: UnitFacts(
        asked="",
        id=id,
        names=(id,),
        load_state=load,
        active_state="failed",
        sub_state="failed",
        required_by=required_by,
    ),
    st.sampled_from([*UNITS, "systemd-resolved.service"]),
    st.sampled_from(["loaded", "masked", "not-found", ""]),
    st.sampled_from([(), ("ssh.service",), ("multi-user.target",)]),
)
PATH_FACTS = st.builds(
    lambda real, type, mode, parent: PathFacts(
        asked="", realpath=real, type=type, owner="root", mode=mode, writable_parent=parent
    ),
    st.sampled_from(PATHS),
    st.sampled_from(["file", "directory", "missing"]),
    st.sampled_from(["0644", "4755", ""]),
    st.sampled_from(["", "/opt"]),
)
FACTS = st.builds(
    lambda units, paths: Facts(units=units, paths=paths),
    st.dictionaries(st.sampled_from(UNITS), UNIT_FACTS),
    st.dictionaries(st.sampled_from(PATHS), PATH_FACTS),
)


OTHERS = st.sampled_from(["web1", "web2", "web3", "db1"])
FLEETS = st.builds(
    FleetState,
    limits=st.builds(
        FleetLimits, budget_host=st.integers(1, 4), hosts_max=st.integers(1, 3), failed_least=st.integers(1, 6)
    ),
    groups=st.just({"web": frozenset({"web1", "web2", "web3"}), "all": frozenset({"web1", "web2", "web3", "db1"})}),
    attempts=st.lists(
        st.builds(
            FleetAttempt,
            host=OTHERS,
            action=st.sampled_from(sorted(ACTIONS)),
            at=st.sampled_from([-5, 0, 100, 1700, 1900, 4000, 86399, 90000]).map(
                lambda ago: NOW - timedelta(seconds=ago)
            ),
            healed=st.sampled_from([None, True, False]),
        ),
        max_size=8,
    ).map(tuple),
    places=st.lists(
        st.builds(
            lambda number, host, outcome: Place(
                incident_id=f"inc-{number}",
                host=host,
                action="restart_service",
                outcome=outcome,
                admitted=outcome is Outcome.ALLOWED,
            ),
            st.integers(1, 9),
            OTHERS,
            st.sampled_from([Outcome.ALLOWED, Outcome.WAITS]),
        ),
        max_size=4,
        unique_by=lambda one: one.incident_id,
    ).map(lambda found: tuple(sorted(found, key=lambda one: one.incident_id))),
    sick=st.frozensets(OTHERS, max_size=3),
    held=st.frozensets(OTHERS, max_size=2),
    incident_id=st.sampled_from(["", "inc-1", "inc-5"]),
)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    name = draw(st.sampled_from([*sorted(ACTIONS), "escalate", "none", "other"]))
    return Question(
        decision=Decision(action=name, parameters=draw(PARAMETERS), reason="", chooser="gemini"),
        action=draw(st.sampled_from([ACTIONS.get(name), None, ACTIONS["free_disk_space"]])),
        host=draw(st.none() | HOSTS),
        facts=draw(st.none() | FACTS),
        attempts=tuple(draw(st.lists(attempts(), max_size=5))),
        signatures=draw(SIGNATURES),
        age_seconds=draw(st.sampled_from([None, 0.0, 300.0, 301.0, float("nan"), float("inf"), -1.0])),
        stopped=draw(st.sampled_from([None, None, None, "stop"])),
        now=NOW,
        approved=draw(st.booleans()),
        fleet=draw(st.none() | FLEETS),
    )


@st.composite
def healthy(draw: st.DrawFn) -> Question:
    """Questions that nothing but history and mode can object to: random ones are hardly ever allowed."""
    host = draw(HOSTS)
    return Question(
        decision=Decision(action="restart_service", parameters={"service": "web"}, reason="", chooser="embedded"),
        action=ACTIONS["restart_service"],
        host=replace(host, policy=replace(host.policy, protected_services=frozenset())),
        facts=Facts(
            units={
                "web": UnitFacts(
                    asked="web",
                    id="web.service",
                    names=("web.service",),
                    load_state="loaded",
                    active_state="failed",
                    sub_state="failed",
                )
            }
        ),
        attempts=tuple(draw(st.lists(attempts(), max_size=2))),
        signatures=draw(SIGNATURES),
        age_seconds=10.0,
        stopped=None,
        now=NOW,
        approved=draw(st.booleans()),
        fleet=draw(st.none() | FLEETS),
    )


ANY = questions() | healthy()


@given(ANY)
def test_nothing_is_allowed_without_host_facts_and_a_whitelisted_action(question: Question) -> None:
    if judge(question).outcome == Outcome.ALLOWED:
        assert question.host is not None
        assert question.facts is not None
        assert question.action is not None
        assert question.action.id == question.decision.action
        assert question.decision.acts
        assert question.stopped is None
        assert question.fleet is not None
        policy = question.host.policy
        alone = policy.mode == Mode.AUTO and (policy.windows is None or is_open(policy.windows, question.now))
        assert alone or question.approved
        assert question.decision.parameters.keys() == {p.name for p in question.action.parameters}


@given(ANY)
def test_approval_lifts_what_a_person_may_say_and_age_alone(question: Question) -> None:
    asked = judge(replace(question, approved=False))
    approved = judge(replace(question, approved=True))

    if asked.rule in ("window", "risk", "propose"):
        assert approved.outcome in (Outcome.ALLOWED, Outcome.WAITS)
    elif asked.rule != "age":
        assert (approved.outcome, approved.rule) == (asked.outcome, asked.rule)


@given(ANY, attempts())
def test_another_attempt_never_loosens(question: Question, attempt: Attempt) -> None:
    more = judge(replace(question, attempts=(*question.attempts, attempt)))

    assert STRICTNESS[more.outcome] >= STRICTNESS[judge(question).outcome]


@given(ANY, st.randoms(use_true_random=False))
def test_the_order_of_attempts_does_not_matter(question: Question, random: object) -> None:
    shuffled = list(question.attempts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types its random as object

    assert judge(replace(question, attempts=tuple(shuffled))) == judge(question)


@given(ANY, st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3)))
def test_a_clock_that_goes_back_frees_no_budget(question: Question, back: timedelta) -> None:
    if judge(question).rule == "attempts":
        assert judge(replace(question, now=question.now - back)).outcome == Outcome.DENIED


@given(ANY)
def test_taking_the_host_or_the_facts_away_never_loosens_to_allowed(question: Question) -> None:
    for blind in (replace(question, host=None), replace(question, facts=None)):
        assert judge(blind).outcome in (Outcome.DENIED, Outcome.UNKNOWN)


@given(ANY)
def test_the_verdict_is_the_first_objection(question: Question) -> None:
    verdict = judge(question)

    objecting = [rule for rule in RULES if rule.objects(question) is not None]
    assert verdict.rule == (objecting[0].name if objecting else "allowed")
    assert verdict.reason.endswith(".")


def test_denials_come_before_the_unknown_and_the_unknown_before_the_question_to_a_person() -> None:
    strictness = [STRICTNESS[rule.outcome] for rule in RULES]

    assert strictness == sorted(strictness, reverse=True)
    assert STRICTNESS[Outcome.ALLOWED] not in strictness
