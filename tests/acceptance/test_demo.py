"""The first thing that anyone sees: the demo, as `make demo` runs it once the machine is set up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.fleet import Lab
from tests.acceptance.conftest import ROOT
from tests.support.fleets import name


def test_the_demo_ends_as_it_should_and_keeps_fleet_and_store(tmp_path: Path) -> None:
    lab = name("demo", os.getpid())
    command = [sys.executable, "-m", "lab.demo", f"--name={lab}", f"--state-dir={tmp_path}"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
        for stage in ("detected", "decided", "judged", "asks", "approved", "ran", "verified", "healed", "told"):
            assert f"  {stage} " in done.stdout, f"{stage}: {done.stdout}"
        assert "All is as it should be" in done.stdout
        assert [host.state for host in Lab(lab, tmp_path).status()] == ["running"] * 3
        assert (tmp_path / f"{lab}-healing" / "state" / "healer.sqlite").is_file()
    finally:
        Lab(lab, tmp_path).down()
