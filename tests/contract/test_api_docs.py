"""Every route is documented, and nothing is documented that is no route."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.routing import APIRoute

from api.main import ROUTES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def test_the_page_lists_exactly_the_routes() -> None:
    documented = set(re.findall(r"^### `(\w+ [^`?]+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))

    served = {
        f"{method} {route.path}"
        for module in ROUTES
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }

    assert documented == served
