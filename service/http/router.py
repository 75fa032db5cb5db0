"""Finding the route of an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sanic.router import Router
from sanic_routing.exceptions import NotFound

from service.http.routes.verify import ADDRESS

if TYPE_CHECKING:
    from sanic_routing import Route

_SLASHES: Final = "//"
_BELOW_VERIFY: Final = f"{ADDRESS}/"


class AppRouter(Router):
    """Sanic's, which takes a route's address with a slash behind it, but not with more of them.

    It tries again without the last one, each time in a call of its own: eight
    thousand slashes would keep a worker busy for a quarter of a second. Nor has
    an address any number of aliases that a gateway's rules would have to know.

    All but `/verify`: whatever stands below it is the address that a gateway
    asks about, as its client wrote it, and is never looked at.
    """

    def resolve(
        self,
        path: str,
        *,
        method: str | None = None,
        orig: str | None = None,
        extra: dict[str, str] | None = None,
    ) -> tuple[Route, Any, dict[str, Any]]:
        """The route of `path`; raises NotFound and NoMethod."""
        if path.startswith(_BELOW_VERIFY):
            path = ADDRESS
        if path.endswith(_SLASHES):
            raise NotFound("more slashes than one", path=path)
        return super().resolve(path, method=method, orig=orig, extra=extra)
