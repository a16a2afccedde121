"""The dashboard: pages for a person, rendered here; nothing is built and nothing comes from elsewhere."""

from __future__ import annotations

from api.pages import approvals, audit, figures, incidents, login, now, runs

PAGES = (now, incidents, runs, approvals, figures, audit, login)
