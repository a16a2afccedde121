"""A host of the lab, and the production playbooks on it by plain ansible-playbook."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.fleet import Lab

ROOT = Path(__file__).resolve().parents[2]
HOST = "web1"
SAFE = ["/usr/local/bin", "/var/log", "/opt", "/home"]
OK = ""


class Stage:
    """Runs production playbooks on one host of the lab."""

    def __init__(self, lab: Lab, home: Path, sockets: Path) -> None:
        self.lab, self._sockets = lab, sockets
        self._home, self._config = home, home / "ansible.cfg"
        self._config.touch()

    def run(self, playbook: str, *, changed: bool | None = None, **variables: object) -> str:
        """The message of the failure; empty if there was none. `changed`: whether it must have changed anything."""
        return self._run(playbook, [], changed, variables)

    def check(self, playbook: str, *, changed: bool, **variables: object) -> str:
        """The same in check mode; `changed`: whether it must say that it would change something."""
        return self._run(playbook, ["--check"], changed, variables)

    def refusals(self, playbook: str, cases: Sequence[Mapping[str, object]], **variables: object) -> list[str]:
        """What one run says to each case, none of which may change anything; each is a name of its own of the host."""
        hosts = self._hosts(cases)
        return self._play(
            playbook,
            ["--forks=4", "--inventory", str(hosts)],
            [f"case{n}" for n in range(len(cases))],
            variables,
            changed=False,
        )

    def _hosts(self, cases: Sequence[Mapping[str, object]]) -> Path:
        listed = subprocess.run(
            [sys.executable, "-m", "ansible.cli.inventory", f"--inventory={self.lab.inventory}", f"--host={HOST}"],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        names = {f"case{number}": json.loads(listed.stdout) | case for number, case in enumerate(cases)}
        file = self._home / "cases.json"
        file.write_text(json.dumps({"all": {"hosts": names}}))
        return file

    def _run(self, playbook: str, options: Sequence[str], changed: bool | None, variables: Mapping[str, object]) -> str:
        where = [f"--inventory={self.lab.inventory}", f"--limit={HOST}", *options]
        return self._play(playbook, where, [HOST], variables, changed=changed)[0]

    def _play(
        self,
        playbook: str,
        options: Sequence[str],
        hosts: Sequence[str],
        variables: Mapping[str, object],
        *,
        changed: bool | None,
    ) -> list[str]:
        given = {
            "healing_run_id": f"test-{Path(playbook).stem}",
            "healing_safe_directories": SAFE,
            "healing_protected_services": [],
            "healing_permits": [],
            **variables,
        }
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "ansible.cli.playbook", *options),
                *(f"--extra-vars={json.dumps(given)}", str(ROOT / "playbooks" / f"{playbook}.yml")),
            ],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return [self._said(host, changed, ended.stdout, ended.stderr) for host in hosts]

    def _said(self, host: str, changed: bool | None, output: str, errors: str) -> str:
        recap = re.search(
            rf"^{host} .*changed=(\d+) .*unreachable=0 +failed=([01]) .*rescued=(\d+) ", output, re.MULTILINE
        )
        assert recap, output + errors
        if changed is not None:
            assert (int(recap[1]) > 0) == changed, output
        said = re.findall(rf"^fatal: \[{host}\]: FAILED! => (.*)$", output, re.MULTILINE)
        assert len(said) == int(recap[2]) + int(recap[3]), output
        return str(json.loads(said[-1])["msg"]) if recap[2] == "1" else OK

    def shell(self, command: str) -> str:
        return self.lab.execute(HOST, command).stdout.strip()

    def until(self, condition: str, seconds: int = 20) -> None:
        """Wait on the host for a shell condition; it fails where that does not come true in time."""
        waiting = f"until {condition}; do sleep 0.1; done"
        self.lab.execute(HOST, f"timeout {seconds} sh -c {shlex.quote(waiting)}", timeout=seconds + 10)

    def _environment(self) -> Mapping[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            # An own, empty one: no setting of this machine or folder counts.
            "ANSIBLE_CONFIG": str(self._config),
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            # Short, as a socket's path must be, and shared, so that not every test logs in anew.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._sockets),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_HOST_KEY_CHECKING": "True",
        }


def service(stage: Stage, name: str, start: str, *lines: str) -> None:
    text = "\n".join(["[Service]", f"ExecStart={start}", *lines])
    stage.shell(f"printf '%s\\n' '{text}' >/etc/systemd/system/{name} && systemctl daemon-reload")


def assert_begin(said: Sequence[str], sentences: Sequence[str]) -> None:
    """Each of what was said begins with its sentence."""
    assert [one[: len(sentence)] for one, sentence in zip(said, sentences, strict=True)] == list(sentences)
