"""Who is calling: the question of gateways and other back ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint

from service.http.responses import Response, headers_for

if TYPE_CHECKING:
    from service.http.request import AppRequest

verify = Blueprint("verify")

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


async def show_caller(request: AppRequest) -> Response:
    """200, no body, the caller in headers.

    Every header is always there, empty where unknown: a gateway that copies
    them then overwrites whatever a client made up.
    """
    session = request.ctx.session
    headers = {
        "X-Auth-Request-User": session.user_id,
        "X-Auth-Openid": session.openid,
        "X-Auth-Appid": session.appid,
        "X-Auth-Unionid": session.unionid or "",
        "X-Session-Expires-In": str(session.expires_in),
        **headers_for(request),
    }
    return Response(b"", 200, headers, "text/plain")


# A gateway may pass on the method of the request it asks about, and has no use for a body.
verify.add_route(show_caller, "/verify", methods=_METHODS, ctx_gateway=True)
