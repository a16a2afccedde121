"""The application: routes, the guard before them, and one shape of errors."""

from __future__ import annotations

from fastapi import FastAPI

from api import errors
from api.described import ERRORS
from api.guard import Guard
from api.identity import Identities
from api.roles import require_roles
from api.routes import approvals, heal, health, history, incidents, inject, logs, metrics, runs, status
from api.state import ApiState
from api.v1 import asks, hooks, reads, stream

ROUTES = (approvals, heal, health, history, incidents, inject, logs, metrics, runs, status, asks, hooks, reads, stream)


def create_app(state: ApiState) -> FastAPI:
    """The API over a wired state. It has no page of its own that would load anything from elsewhere."""
    app = FastAPI(title="healing-bot", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.healing = state
    for route in ROUTES:
        require_roles(route.router)
        app.include_router(route.router, responses=ERRORS)
    errors.install(app)
    identities = Identities(store=state.store, key=state.token)
    app.add_middleware(Guard, identities=identities, api_host=state.settings.api_host, api_url=state.settings.api_url)
    return app
