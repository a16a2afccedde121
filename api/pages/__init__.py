"""The dashboard: pages for a person, rendered here; nothing is built and nothing comes from elsewhere."""

from __future__ import annotations

from api.pages import approvals, audit, figures, hosts, incidents, login, memory, now, outbreaks, runs

PAGES = (now, incidents, outbreaks, hosts, runs, approvals, figures, memory, audit, login)
