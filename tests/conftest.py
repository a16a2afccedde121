"""A clean environment before any test: none of our variables, no Ansible ones, no colours."""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis

from orchestrator import settings

# A busy machine is no defect.
hypothesis.register_profile("patient", deadline=None)
hypothesis.load_profile("patient")

FOREIGN = ("ANSIBLE_CONFIG", "ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_INVENTORY", "FORCE_COLOR", "COLUMNS")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*settings.ENVIRONMENT, *FOREIGN):
        if name not in ("HOME", "PATH", "SSH_AUTH_SOCK"):
            monkeypatch.delenv(name, raising=False)
