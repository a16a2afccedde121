"""What holds of the chooser without any server; tests/integration/test_gemini.py has the rest."""

from __future__ import annotations

import subprocess
import sys

from orchestrator.domain.hosts import Secret
from tests.support.gemini_case import asking


def test_importing_the_chooser_does_not_import_the_client() -> None:
    code = (
        "import sys; from orchestrator.decide.gemini import GeminiChooser; "
        "sys.exit(any(name.startswith(('google.genai', 'httpx')) for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_closing_before_the_first_question_is_fine() -> None:
    asking(api_key=Secret("key"), timeout_seconds=1.0).close()


def test_the_key_is_in_no_repr() -> None:
    chooser = asking(api_key=Secret("canary"), timeout_seconds=1.0)

    assert "canary" not in repr(chooser)
    assert "canary" not in repr(vars(chooser))
