"""Which role each route needs; a route that says none is not served."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute

from api.errors import ApiError
from api.paths import FORMS, PUBLIC, SIGNED
from orchestrator.domain.access import Identity, Role


def who(request: Request) -> Identity:
    """Who asks; the guard has seen to it that somebody does."""
    identity: Identity = request.state.identity
    return identity


#: What a route asks for to know its caller.
Caller = Annotated[Identity, Depends(who)]


class Needs:
    """A dependency: 403 for a caller whose role is below."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, identity: Caller) -> None:
        """Raises ApiError."""
        if not identity.role.may(self.role):
            raise ApiError(
                HTTPStatus.FORBIDDEN,
                "role",
                f"This needs the role {self.role}; {identity.actor} has the role {identity.role}. Nothing was done.",
            )


def needs(role: Role) -> Any:
    """For `dependencies=[...]` of a router or a route."""
    return Depends(Needs(role))


def role_of(route: APIRoute) -> Role | None:
    """The highest role that a route asks for; None: it asks for none."""
    asked = [one.call.role for one in route.dependant.dependencies if isinstance(one.call, Needs)]
    return max(asked, key=list(Role).index, default=None)


def require_roles(router: APIRouter) -> None:
    """Raises ValueError for a route that would be open by oversight."""
    for route in router.routes:
        if isinstance(route, APIRoute) and route.path not in PUBLIC | SIGNED | FORMS and role_of(route) is None:
            raise ValueError(f"the route {route.path} says no role that it needs")
