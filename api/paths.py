"""What kind of thing a path is, for those who decide before any route."""

from __future__ import annotations

#: Asked by supervisors and load balancers, which have no token; it says nothing but well or not.
PUBLIC = frozenset({"/healthz"})
#: Known by a signature over the body instead of a token; the route itself looks at it.
SIGNED = frozenset({"/api/v1/hooks/signed"})
#: Where a person shows a token.
FORMS = frozenset({"/login"})
#: Style and scripts.
STATIC = "/static/"


def is_page(path: str) -> bool:
    """Whether a person looks at it."""
    return not path.startswith(("/api/", "/metrics", "/healthz", STATIC))
