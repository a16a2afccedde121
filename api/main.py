"""The application: routes, pages, the guard before them, and one shape of errors."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from api import errors
from api.described import ERRORS
from api.guard import Guard
from api.identity import Identities, Throttle
from api.pages import PAGES, now
from api.pages.live import Live
from api.pages.site import HERE, error_page
from api.roles import require_roles
from api.routes import approvals, heal, health, history, incidents, inject, logs, metrics, runs, status
from api.state import ApiState
from api.v1 import asks, hooks, insights, memory, outbreaks, reads, statistics, stream

ROUTES = (
    *(approvals, heal, health, history, incidents, inject, logs, metrics, runs, status),
    *(asks, hooks, insights, memory, outbreaks, reads, statistics, stream),
)


def create_app(state: ApiState) -> FastAPI:
    """API and dashboard over a wired state. No page loads anything from elsewhere."""
    app = FastAPI(title="healing-bot", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.healing = state
    app.state.identities = Identities(store=state.store, key=state.token)
    app.state.throttle = Throttle()
    app.state.live = Live(state.store.newest, partial(now.rendered, state))
    app.state.tail = stream.Tail(state.store)
    for route in (*ROUTES, *PAGES):
        require_roles(route.router)
        app.include_router(route.router, responses=ERRORS)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    errors.install(app, error_page)
    app.add_middleware(
        Guard,
        identities=app.state.identities,
        throttle=app.state.throttle,
        api_host=state.settings.api_host,
        api_url=state.settings.api_url,
    )
    return app
