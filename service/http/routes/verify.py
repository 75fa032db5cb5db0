"""Who is calling: the question of gateways and other back ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sanic import Blueprint

from service.http.responses import Response, common_headers, request_id

if TYPE_CHECKING:
    from service.core.models import Session
    from service.http.request import AppRequest

verify = Blueprint("verify")

ADDRESS: Final = "/verify"
"""And all addresses below it: some gateways put that of the request they ask about behind it."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""A gateway may pass on the method of the request that it asks about."""
CONTENT_TYPE: Final = "text/plain"


async def show_caller(request: AppRequest) -> Response:
    """200, no body, the caller in headers."""
    headers = caller_headers(request.ctx.session, request_id(request))
    return Response(b"", 200, headers, CONTENT_TYPE)


def caller_headers(session: Session, request_id: str) -> dict[str, str]:
    """The headers of a 200.

    Every one is always there, empty where unknown: a gateway that copies them then
    overwrites whatever a client made up.
    """
    return {
        "X-Auth-Request-User": session.user_id,
        "X-Auth-Openid": session.openid,
        "X-Auth-Appid": session.appid,
        "X-Auth-Unionid": session.unionid or "",
        "X-Session-Expires-In": str(session.expires_in),
        **common_headers(request_id),
    }


# Some announce the body of that request, too, and never send it.
verify.add_route(show_caller, ADDRESS, methods=METHODS, ignore_body=True, ctx_gateway=True)
